"""Reads numpy's files, npy and npz, of which nothing is believed before it is checked.

A header says how large an array is. It is held against the file, and against the memory that is
left, before any is taken. Python objects (pickle) are never read.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from hybridonn.core.errors import DataError
from hybridonn.core.memory import free_bytes, say_bytes

NPY, NPZ = b"\x93NUMPY", b"PK"
HEADER_BYTES = 10_000  # as numpy allows: more may take long to parse
LENGTHS = {b"\x01\x00": 2, b"\x02\x00": 4}  # bytes of the header's length, by version
MOST_MEMBERS = 1000
MOST_DIMENSIONS = 32
DEFLATE_RATIO = 1032  # the most that deflate shrinks anything (zlib's technical details)
MEMORY_SHARE = 0.8  # of what is left


class ArrayFileError(DataError):
    """A file that holds no array, or not the one that its header promises.

    Attributes:
        found: What is wrong, as a sentence about the file without its subject.
    """

    def __init__(self, found: str, path: Path | None = None) -> None:
        super().__init__(found if path is None else f"{path} {found}")
        self.found = found


@dataclass(frozen=True)
class ArrayHeader:
    """What the header of an array says, and what the file can hold.

    Attributes:
        shape: Shape of the array.
        dtype: Type of its values.
        start: Byte at which the values begin.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int

    @property
    def size(self) -> int:
        """Bytes of the values."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_array(path: Path) -> np.ndarray:
    """Read an npy file.

    Raises:
        ArrayFileError: It is missing, no npy file, damaged, or larger than the memory.
    """
    return _read(path, _read_npy)


def read_headers(path: Path) -> dict[str, ArrayHeader]:
    """The headers of an npz file's arrays, by name; no array is read.

    Raises:
        ArrayFileError: It is missing, no npz file, or damaged.
    """
    return _read(path, lambda file: {name: one for name, (_, one) in _survey(file).items()})


def read_archive(path: Path, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Read arrays of an npz file.

    Args:
        path: The file.
        names: Arrays to read, of which some may be absent; None: all.

    Raises:
        ArrayFileError: It is missing, no npz file, damaged, or larger than the memory.
    """
    return _read(path, lambda file: _read_npz(file, names))


def _read(path: Path, read: Callable[[IO[bytes]], Any]) -> Any:
    try:
        with path.open("rb") as file:
            return read(file)
    except FileNotFoundError:
        raise ArrayFileError("is missing", path) from None
    except ArrayFileError as error:
        raise ArrayFileError(error.found, path) from None
    except OSError as error:
        raise ArrayFileError(f"cannot be read: {error.strerror or error}", path) from None
    # zipfile and numpy have an error of their own for each kind of damage.
    except (Exception, MemoryError) as error:
        found = " ".join(str(error).split())[:200] or type(error).__name__
        raise ArrayFileError(f"is damaged: {found}", path) from None


def _read_npy(file: IO[bytes]) -> np.ndarray:
    if file.read(len(NPZ)) == NPZ:
        raise ArrayFileError("is an npz archive; name it so, with the suffix .npz")
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    header = _read_header(file, size)
    _check_memory(header.size)
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False, max_header_size=HEADER_BYTES)


def _read_npz(file: IO[bytes], names: Collection[str] | None) -> dict[str, np.ndarray]:
    found = _survey(file)
    wanted = {name: one for name, one in found.items() if names is None or name in names}
    _check_memory(sum(header.size for _, header in wanted.values()))
    arrays = {}
    with zipfile.ZipFile(file) as archive:
        for name, (member, _) in wanted.items():
            with archive.open(member) as stream:
                arrays[name] = np.lib.format.read_array(
                    stream, allow_pickle=False, max_header_size=HEADER_BYTES
                )
                stream.read()  # to the end, where the checksum is compared
    return arrays


def _survey(file: IO[bytes]) -> dict[str, tuple[str, ArrayHeader]]:
    """Member and header of each array of an npz file.

    Raises:
        ArrayFileError: It is no npz file, or an array of it is none.
    """
    start = file.read(len(NPY))
    if start == NPY:
        raise ArrayFileError("is a single array; name it so, with the suffix .npy")
    if not start.startswith(NPZ):
        raise ArrayFileError("is no npz archive; write it with numpy.savez")
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        _check_members(members, file.seek(0, io.SEEK_END))
        found = {}
        for member in members:
            with archive.open(member) as stream:
                try:
                    header = _read_header(stream, member.file_size)
                except ArrayFileError as error:
                    raise ArrayFileError(f"holds {member.filename[:80]!r}, which {error}") from None
            found[member.filename.removesuffix(".npy")] = member.filename, header
    return found


def _check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    if len(members) > MOST_MEMBERS:
        raise ArrayFileError(f"holds {len(members)} members; arrays of captures are a few")
    name, count = Counter(one.filename for one in members).most_common(1)[0] if members else ("", 0)
    if count > 1:
        raise ArrayFileError(f"holds {name[:80]!r} {count} times; write each array once")
    if sum(one.compress_size for one in members) > size:
        raise ArrayFileError("claims more than it holds, so its members overlap; write it again")
    for one in members:
        if one.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ArrayFileError(
                f"holds {one.filename[:80]!r} in a compression that numpy does not write"
            )
        if one.file_size > DEFLATE_RATIO * one.compress_size + 1024:
            raise ArrayFileError(
                f"holds {one.filename[:80]!r}, which claims {say_bytes(one.file_size)} in "
                f"{say_bytes(one.compress_size)}; write it again"
            )


def _read_header(stream: IO[bytes], size: int) -> ArrayHeader:
    """The header of an array whose file, header included, has so many bytes.

    Raises:
        ArrayFileError: It is no array, or not one of so many bytes.
    """
    if stream.read(len(NPY)) != NPY:
        raise ArrayFileError("is no array; write it with numpy")
    width = LENGTHS.get(stream.read(2))
    if width is None:
        raise ArrayFileError("is an array of records or of an unknown version; write plain numbers")
    length = int.from_bytes(stream.read(width), "little")
    start = len(NPY) + 2 + width + length
    if length > HEADER_BYTES or start > size:
        raise ArrayFileError("is an array whose header is damaged; write it again")
    shape, dtype = _parse_header(stream.read(length))
    header = ArrayHeader(shape, dtype, start)
    if header.size != size - start:
        raise ArrayFileError(
            f"claims an array of {say_bytes(header.size)} and holds {say_bytes(size - start)}; "
            "write it again"
        )
    return header


def _parse_header(text: bytes) -> tuple[tuple[int, ...], np.dtype[Any]]:
    # Versions 1 and 2 differ in the number of bytes that state the header's length, nothing else.
    header = io.BytesIO(len(text).to_bytes(2, "little") + text)
    try:
        shape, _, dtype = np.lib.format.read_array_header_1_0(header, HEADER_BYTES)
    except (Exception, MemoryError):  # of what is no Python literal, too deep, or no dtype
        shape, dtype = (), np.dtype("V")
    if dtype.hasobject:
        raise ArrayFileError("holds Python objects, which are never read; write plain numbers")
    if dtype.kind == "V" or dtype.itemsize == 0:
        raise ArrayFileError("is an array whose header is damaged, or of records; write numbers")
    if len(shape) > MOST_DIMENSIONS or any(isinstance(n, bool) or n < 0 for n in shape):
        raise ArrayFileError("is an array of an impossible shape; write it again")
    return tuple(shape), dtype


def _check_memory(size: int) -> None:
    free = free_bytes()
    if size > MEMORY_SHARE * free:
        raise ArrayFileError(
            f"would take {say_bytes(size)} of memory, and {say_bytes(free)} are left"
        )
