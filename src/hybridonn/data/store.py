"""Images that were decoded once, kept as memory-mapped arrays in the user's cache.

Each set lies in a folder of its own, ``pictures/KEY/``, with a checksum of each
array and of its notes. It takes its final name only when it is complete; a damaged one is made
again. Deleting the folder is always safe.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hybridonn.core.errors import ArtefactError, DataError
from hybridonn.core.files import cache_folder, checksum, checksum_of, read_json, write_json
from hybridonn.core.parts import put_folder, scratch_folder, sweep


@dataclass(frozen=True)
class Stored:
    """Decoded images.

    Attributes:
        arrays: By name; memory-mapped, copied on writing: the files never change.
        notes: What was written beside them.
    """

    arrays: dict[str, np.ndarray]
    notes: dict[str, Any]


def find_stored(key: str) -> Stored | None:
    """Read the entry of a key, if it is undamaged; remove files of killed runs beside it."""
    folder = _folder_of(key)
    sweep(folder.parent)
    return _read(folder)


def store(key: str, fill: Callable[[Path], dict[str, Any]]) -> Stored:
    """Store arrays under a key; of two processes that do it at once, either's serve both.

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
            sums = {path.stem: checksum(path) for path in sorted(part.glob("*.npy"))}
            record = {"checksums": sums, "notes": notes}
            write_json(part / "record.json", record | {"checksum": checksum_of(record)})
            put_folder(part, folder, cache_folder() / ".lock", lambda known: bool(_read(known)))
    except (OSError, ArtefactError) as error:
        raise DataError(
            f"cannot keep the decoded images in {folder.parent}: {error}; free some space, or "
            "name another folder in the environment variable HYBRIDONN_CACHE"
        ) from None
    stored = _read(folder)
    if stored is None:
        raise DataError(f"{folder} was damaged while it was written; run the same command again")
    return stored


def _read(folder: Path) -> Stored | None:
    """What a folder holds; None: it is not there, or damaged in any way."""
    try:
        record = read_json(folder / "record.json")
        known = record.pop("checksum")
        if known != checksum_of(record):
            return None
        paths = {name: folder / f"{name}.npy" for name in record["checksums"]}
        if any(checksum(path) != record["checksums"][name] for name, path in paths.items()):
            return None
        arrays = {name: np.load(path, mmap_mode="c") for name, path in paths.items()}
        return Stored(arrays, record["notes"])
    except (ArtefactError, OSError, AttributeError, KeyError, TypeError, ValueError):
        return None


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
