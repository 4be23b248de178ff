"""Finished tiles of a kernel, kept on disk so that an interrupted computation goes on."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hybridonn.files import read_arrays, write_bytes
from hybridonn.tangent.infinite.layers import Layer

TILE = 256  # images on a side; a tile is what is stored and taken up again


@dataclass(frozen=True)
class TileStore:
    """A folder with one npz file for each finished tile; the folder's name is the content.

    Attributes:
        folder: Where the tiles of this one kernel are.
    """

    folder: Path

    def read(self, row: int, column: int) -> Tensor | None:
        """The tile at this row and column of tiles; None where it is not finished.

        Raises:
            ArtefactError: The file is damaged.
        """
        path = self._path(row, column)
        if not path.exists():
            return None
        return torch.from_numpy(read_arrays(path)["kernel"])

    def write(self, row: int, column: int, tile: Tensor) -> None:
        """Store a finished tile; a reader sees the whole file or none.

        Raises:
            ArtefactError: The folder cannot be written.
        """
        buffer = io.BytesIO()
        np.savez(buffer, kernel=tile.cpu().numpy())
        write_bytes(self._path(row, column), buffer.getvalue())

    def _path(self, row: int, column: int) -> Path:
        return self.folder / f"tile-{row}-{column}.npz"


def open_store(
    folder: Path, layers: Sequence[Layer], kernel: str, first: Tensor, second: Tensor
) -> TileStore:
    """The store inside ``folder`` for exactly this kernel of exactly these images.

    Args:
        folder: Parent of the folders of all kernels.
        layers: The network.
        kernel: "ntk" or "nngp".
        first: Images (N1, C, H, W).
        second: Images (N2, C, H, W).
    """
    content = hashlib.sha256(f"{TILE} {kernel} {first.dtype} {tuple(layers)!r}".encode())
    for images in (first, second):
        content.update(str(tuple(images.shape)).encode())
        content.update(images.contiguous().cpu().numpy().tobytes())
    return TileStore(folder / content.hexdigest()[:32])
