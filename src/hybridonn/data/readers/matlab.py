"""Label maps in MATLAB files of level 5, read without running a general reader on them.

Only a matrix of numbers is read, with every size checked against the file: general readers
can crash on a damaged or hostile file (MathWorks, "MAT-File Format", R2024a, section 1,
"Level 5 MAT-File Format").
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from hybridonn.core.errors import DataError
from hybridonn.data.readers.image_facts import check_pixels

_HEADER_BYTES = 128
_HEAD_BYTES = 512  # of a variable: its flags, sizes and name
_MATRIX, _COMPRESSED = 14, 15
_NUMERIC = range(6, 16)  # classes of matrices: double, single, whole numbers of 8 to 64 bits
_TYPES = MappingProxyType(
    {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
)
_COMPLEX = 0x0800  # in the flags, beside the class


@dataclass(frozen=True)
class _Variable:
    """A variable in a file: what it is compressed to, or its bytes."""

    body: bytes
    compressed: bool

    def read(self, size: int, *, whole: bool = False) -> bytes:
        """At most so many of its first bytes.

        Args:
            size: How many.
            whole: There must be no more; only at its end is its checksum compared.

        Raises:
            ValueError: There are more.
        """
        if not self.compressed:
            return self.body
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(self.body, size)
        if whole and not unpacker.eof:
            content += unpacker.decompress(unpacker.unconsumed_tail, 1)
            if not unpacker.eof:
                raise ValueError("it is cut off, or longer than its sizes")
        return content


def read_label_map(path: Path, name: str) -> np.ndarray:
    """A matrix of whole numbers from a MATLAB file.

    Args:
        path: The file.
        name: The variable.

    Returns:
        The matrix, (H, W), in the type that the file stores.

    Raises:
        DataError: The file is no MATLAB file of level 5, is damaged, or does not hold the
            variable as a real matrix of whole numbers in two dimensions.
    """
    content = path.read_bytes()
    order = {b"IM": "<", b"MI": ">"}.get(content[126:_HEADER_BYTES])
    if order is None:
        raise DataError(
            f"{path} is damaged or no image: it is not a MATLAB file of level 5, as save -v6 and "
            "-v7 write"
        )
    try:
        labels = _find(content[_HEADER_BYTES:], order, name, path)
    except (struct.error, zlib.error, ValueError) as error:
        raise DataError(f"{path} is damaged or no image: {error}") from None
    if labels.size == 0 or (labels.dtype.kind == "f" and (labels != labels.round()).any()):
        raise DataError(f"{path} holds no whole numbers in {name}")
    return labels


def _find(content: bytes, order: str, name: str, path: Path) -> np.ndarray:
    """The first variable of this name.

    Raises:
        DataError: There is none.
        ValueError: The file is damaged.
    """
    while content:
        kind, size = struct.unpack(f"{order}II", content[:8])
        if size > len(content) - 8:
            raise ValueError(f"a variable of {size:,} bytes where {len(content) - 8:,} are left")
        body, content = content[8 : 8 + size], content[8 + size :]
        variable = _Variable(body, kind == _COMPRESSED)
        if kind == _COMPRESSED:
            head = variable.read(_HEAD_BYTES)
            kind = struct.unpack(f"{order}I", head[:4])[0]
        if kind == _MATRIX and (found := _read_matrix(variable, order, name, path)) is not None:
            return found
    raise DataError(f"{path} holds no label map {name} of two dimensions")


def _read_matrix(variable: _Variable, order: str, name: str, path: Path) -> np.ndarray | None:
    """The values of a matrix of this name; None: it has another one.

    Raises:
        DataError: It is no real matrix of numbers in two dimensions.
        ValueError: It is damaged.
    """
    skipped = 8 if variable.compressed else 0  # the variable's own type and size
    head = variable.read(_HEAD_BYTES)[:_HEAD_BYTES]
    _, flags, place = _read_element(head, order, skipped)
    _, sizes, place = _read_element(head, order, place)
    _, found, place = _read_element(head, order, place)
    if found != name.encode():
        return None
    (flag,) = struct.unpack(f"{order}I", flags[:4])
    shape = struct.unpack(f"{order}{len(sizes) // 4}i", sizes)
    if len(shape) != 2 or flag & 0xFF not in _NUMERIC or flag & _COMPLEX:
        raise DataError(
            f"{path} holds no label map {name} of two dimensions: it is of class {flag & 0xFF} "
            f"and sizes {shape}"
        )
    check_pixels(*shape, f"{name} in {path}")
    # 8 bytes are the largest number; with the element's type and size, and its padding.
    values = variable.read(place + 16 + 8 * shape[0] * shape[1], whole=True)
    kind, content, _ = _read_element(values, order, place)
    if kind not in _TYPES:
        raise ValueError(f"{name} has values of the unknown type {kind}")
    dtype = np.dtype(order + _TYPES[kind])
    labels = np.frombuffer(content, dtype).reshape(shape, order="F")
    return labels.astype(dtype.newbyteorder("="))


def _read_element(content: bytes, order: str, place: int) -> tuple[int, bytes, int]:
    """Type and bytes of the element at a place, and the place of the next.

    Raises:
        ValueError: It is longer than what is left.
    """
    (word,) = struct.unpack_from(f"{order}I", content, place)
    if word >> 16:  # short: size and type in four bytes, up to four more hold all
        kind, size, start, following = word & 0xFFFF, word >> 16, place + 4, place + 8
    else:
        kind, size = struct.unpack_from(f"{order}II", content, place)
        start = place + 8
        following = start + size + -size % 8
    if size > len(content) - start:
        raise ValueError(f"an element of {size:,} bytes where {len(content) - start:,} are left")
    return kind, content[start : start + size], following
