"""The IDX file format of MNIST and its relatives, gzipped or not.

A file holds two zero bytes, a byte for the type of its values, a byte for the
number of dimensions, each dimension's size as a big-endian 32-bit integer, and
the values, big-endian, the last dimension fastest (Y. LeCun, C. Cortes and
C. Burges, "The MNIST database of handwritten digits", section "File formats").
"""

from __future__ import annotations

import gzip
import math
import os
import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

import numpy as np

from hybridonn.core.errors import DataError
from hybridonn.data.memory import refuse_memory
from hybridonn.data.readers.image_facts import check_pixels

DTYPES = MappingProxyType(
    {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
)
MAX_DIMENSIONS = 32  # of an array in numpy 1
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_RATIO = 1032  # no deflated byte becomes more (zlib, "Technical Details")
_CHUNK_BYTES = 1 << 20


def read_idx(
    path: Path,
    check: Callable[[np.dtype, tuple[int, ...]], None] = lambda dtype, shape: None,
    copies: int = 2,
) -> np.ndarray:
    """Read an IDX file, whatever its type and rank.

    Whether it is gzipped is told by its first bytes, not by its name. What its header states
    is held against the file and the memory before any value is read.

    Args:
        path: The file.
        check: Refuses what the header states.
        copies: Memory that the values take in the end, by their size in the file.

    Returns:
        The values, in the machine's byte order, in the shape that the file states.

    Raises:
        DataError: The file cannot be read, is not IDX, is corrupt, truncated or
            too long, or larger than the memory.
    """
    try:
        with _open(path) as file:
            dtype, shape = _read_header(file, path)
            check(dtype, shape)
            size = math.prod(shape) * dtype.itemsize
            _check_size(file, size, copies, path)
            values = _read_values(file, size, path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is not a whole gzip file ({error}); get it again") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    try:
        array = np.frombuffer(values, dtype).reshape(shape)
    except ValueError:  # one size is 0, and the others multiply to more than an array can have
        raise DataError(f"{path} states sizes that no array can have: {shape}") from None
    return array.astype(dtype.newbyteorder("="), copy=False)


def read_images(path: Path) -> np.ndarray:
    """Read an IDX file of grey images, (N, H, W), uint8.

    Raises:
        DataError: As :func:`read_idx`; or the values are not unsigned bytes in
            three dimensions, or there are none.
    """

    def check(dtype: np.dtype, shape: tuple[int, ...]) -> None:
        if dtype != np.uint8 or len(shape) != 3:
            raise DataError(
                f"{path} holds {dtype.name} values in {len(shape)} dimensions; "
                "images are uint8 in 3 dimensions: number, height, width"
            )
        if 0 in shape:
            raise DataError(f"{path} holds no images: its sizes are {shape}")
        check_pixels(*shape[1:], f"an image of {path}")

    return read_idx(path, check)


def read_labels(path: Path) -> np.ndarray:
    """Read an IDX file of class numbers, (N,), int64.

    Raises:
        DataError: As :func:`read_idx`; or the values are not integers in one
            dimension.
    """

    def check(dtype: np.dtype, shape: tuple[int, ...]) -> None:
        if dtype.kind not in "iu" or len(shape) != 1:
            raise DataError(
                f"{path} holds {dtype.name} values in {len(shape)} dimensions; "
                "labels are integers in 1 dimension"
            )

    # A label of one byte becomes one of eight.
    return read_idx(path, check, copies=10).astype(np.int64)


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as file:
        zipped = file.read(2) == _GZIP_MAGIC
        file.seek(0)
        if not zipped:
            yield file
            return
        with gzip.GzipFile(fileobj=file) as content:
            yield content  # pyright: ignore[reportReturnType]


def _read_header(file: BinaryIO, path: Path) -> tuple[np.dtype, tuple[int, ...]]:
    magic = file.read(4)
    if len(magic) < 4:
        raise DataError(f"{path} is truncated: found {len(magic)} bytes of its 4-byte IDX header")
    zeros, code, rank = magic[:2], magic[2], magic[3]
    if zeros != b"\0\0" or code not in DTYPES or rank > MAX_DIMENSIONS:
        allowed = ", ".join(f"{known:02x}" for known in DTYPES)
        raise DataError(
            f"{path} is not an IDX file: it begins with {magic.hex(' ')}; an IDX file begins with "
            f"00 00, a type ({allowed}) and the number of dimensions (at most {MAX_DIMENSIONS})"
        )
    sizes = file.read(4 * rank)
    if len(sizes) < 4 * rank:
        raise DataError(f"{path} is truncated within the sizes of its {rank} dimensions")
    return np.dtype(DTYPES[code]), struct.unpack(f">{rank}I", sizes)


def _check_size(file: BinaryIO, size: int, copies: int, path: Path) -> None:
    """Refuse values that the file cannot hold, or that the memory cannot.

    Raises:
        DataError: There are more than either holds.
    """
    zipped = isinstance(file, gzip.GzipFile)
    state = os.fstat(file.fileno())
    most = state.st_size * _GZIP_RATIO if zipped else state.st_size - file.tell()
    if stat.S_ISREG(state.st_mode) and size > most:
        held = f"at most {most}, as it is gzipped" if zipped else str(most)
        raise DataError(
            f"{path} is truncated: its header states {size} bytes of values, found {held}"
        )
    refuse_memory(copies * size, f"to read {path}", "free some, or take a smaller set")


def _read_values(file: BinaryIO, size: int, path: Path) -> bytearray:
    values = bytearray()
    # In pieces, so that a damaged header cannot ask for all of the memory at once;
    # and to the end, because only there does gzip compare its checksum.
    while len(values) <= size and (piece := file.read(_CHUNK_BYTES)):
        values += piece
    if len(values) < size:
        raise DataError(
            f"{path} is truncated: its header states {size} bytes of values, found {len(values)}"
        )
    if len(values) > size:
        raise DataError(f"{path} is too long: more than the {size} bytes that its header states")
    return values
