"""Pictures that were decoded once, kept as memory-mapped arrays in the user's cache.

Each set lies in a folder of its own, ``pictures/KEY/``, with a checksum of each
array. It takes its final name only when it is complete; a damaged one is made
again. Deleting the folder is always safe.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hybridonn.core.parts import put_folder, scratch_folder, sweep
from hybridonn.errors import ArtefactError, DataError
from hybridonn.files import cache_folder, read_json, write_json

_CHUNK_BYTES = 1 << 22


@dataclass(frozen=True)
class Stored:
    """Decoded pictures.

    Attributes:
        arrays: By name; memory-mapped, copied on writing: the files never change.
        notes: What was written beside them.
    """

    arrays: dict[str, np.ndarray]
    notes: dict[str, Any]


def find_stored(key: str) -> Stored | None:
    """What was stored under a key, if it is there and undamaged; sweeps what kills left beside."""
    folder = _folder_of(key)
    sweep(folder.parent)
    try:
        record = read_json(folder / "record.json")
        paths = {name: folder / f"{name}.npy" for name in record["checksums"]}
        if any(_checksum(path) != record["checksums"][name] for name, path in paths.items()):
            return None
        arrays = {name: np.load(path, mmap_mode="c") for name, path in paths.items()}
        return Stored(arrays, record["notes"])
    except (ArtefactError, OSError, KeyError, TypeError, ValueError):
        return None


def store(key: str, fill: Callable[[Path], dict[str, Any]]) -> Stored:
    """Store arrays under a key.

    Args:
        key: Names all that the arrays depend on.
        fill: Writes ``NAME.npy`` files into the folder that it is given and returns notes.

    Raises:
        DataError: The cache cannot be written.
    """
    folder = _folder_of(key)
    try:
        with scratch_folder(folder) as part:
            notes = fill(part)
            checksums = {path.stem: _checksum(path) for path in sorted(part.glob("*.npy"))}
            write_json(part / "record.json", {"checksums": checksums, "notes": notes})
            lock = cache_folder() / ".lock"
            put_folder(part, folder, lock, lambda known: find_stored(key) is not None)
    except (OSError, ArtefactError) as error:
        raise DataError(
            f"cannot keep the decoded pictures in {folder.parent}: {error}; free some space, or "
            "name another folder in the environment variable HYBRIDONN_CACHE"
        ) from None
    stored = find_stored(key)
    if stored is None:
        raise DataError(f"{folder} was damaged while it was written; run the same command again")
    return stored


def create_array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """A memory-mapped uint8 array in a new ``.npy`` file whose place on the disk is reserved.

    Raises:
        OSError: The disk has not that much room.
    """
    array = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    if hasattr(os, "posix_fallocate"):
        # Else a disk that fills up later would end the process by a signal, without a word.
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def _folder_of(key: str) -> Path:
    return cache_folder() / "pictures" / key


def _checksum(path: Path) -> int:
    # CRC-32: against damage, not against an attack, and several times faster than SHA-256.
    value = 0
    with path.open("rb") as file:
        while piece := file.read(_CHUNK_BYTES):
            value = zlib.crc32(piece, value)
    return value
