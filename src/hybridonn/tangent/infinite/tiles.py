"""Finished tiles of a kernel, kept on disk so that an interrupted computation goes on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hybridonn.tangent.errors import TangentError
from hybridonn.tangent.infinite.layers import Layer

TILE = 256  # images on a side; a tile is what is stored and taken up again


@dataclass(frozen=True)
class TileStore:
    """A folder with one npz file for each finished tile; the folder's name is the content.

    Attributes:
        folder: holds the tiles of one kernel.
    """

    folder: Path

    def read(self, row: int, column: int) -> Tensor | None:
        """The tile at this row and column of tiles; None where it is not finished.

        Raises:
            TangentError: the file is damaged.
        """
        path = self._path(row, column)
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as archive:
                return torch.from_numpy(archive["kernel"])
        except Exception as error:  # numpy has many errors for a damaged file
            raise TangentError(
                f"{path} is damaged ({type(error).__name__}: {error}); "
                "delete it and compute the kernel again"
            ) from None

    def write(self, row: int, column: int, tile: Tensor) -> None:
        """Store a finished tile; a reader sees the whole file or none.

        Raises:
            TangentError: the folder cannot be written.
        """
        path = self._path(row, column)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                np.savez(file, kernel=tile.cpu().numpy())
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True) if part.parent.is_dir() else None
            raise TangentError(
                f"cannot write {path}: {error.strerror or error}; finished tiles are untouched. "
                "Free some space or give another folder, then compute the kernel again"
            ) from None

    def _path(self, row: int, column: int) -> Path:
        """The file of one tile."""
        return self.folder / f"tile-{row}-{column}.npz"


def open_store(
    folder: Path, layers: Sequence[Layer], kernel: str, first: Tensor, second: Tensor
) -> TileStore:
    """The store inside a folder for exactly this kernel of exactly these images.

    Args:
        folder: parent of the folders of all kernels.
        layers: the network.
        kernel: "ntk" or "nngp".
        first: images (N1, C, H, W).
        second: images (N2, C, H, W).

    Returns:
        The store; its folder is made by the first tile that is written.
    """
    content = hashlib.sha256(f"{TILE} {kernel} {first.dtype} {tuple(layers)!r}".encode())
    for images in (first, second):
        content.update(str(tuple(images.shape)).encode())
        content.update(images.contiguous().cpu().numpy().tobytes())
    return TileStore(folder / content.hexdigest()[:32])
