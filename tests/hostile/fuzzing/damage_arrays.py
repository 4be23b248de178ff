"""Harm to arrays in files: IDX headers, npy headers, npz archives."""

from __future__ import annotations

import ast
import io
import struct
import zipfile
import zlib
from collections.abc import Sequence
from random import Random

import numpy as np

from fuzzing.damage_bytes import COMMON, flip_bits

SIZES = (0, 1, 2, 3, 10, 28, 255, 256, 65535, 10**6, 2**31 - 1, 2**31, 2**32 - 1)
LENGTHS = (*SIZES, -1, 2**40, 2**63 - 1, 2**63, 2**64, 10**30, 0.5, None, "3", True, ())
TYPES = (
    *("|O", "|u1", "|i1", "<u2", ">u2", "<i4", "<i8", "<u8", "<f2", "<f4", ">f8", "<f8", "<f16"),
    *("<c16", "|b1", "<U1", "<U0", "<U5", "<U1000000000", "|S3", "|S0", "|V8", "|V0", "<M8[s]"),
    *("<m8[ns]", "<M8", "x", "", "3u1", "(2,3)<f4", "u1,u1", "<f4 ", "i", 3, None, ("<f4", (2, 2))),
    *([("a", "<f4"), ("b", "|O")], [("a", "<f4")], [], [("", "<f4")], {"names": ["a"]}),
)
SHAPES = (
    *((), (0,), (1,), (3,), (0, 0), (1, 1), (2, 3, 4), (1,) * 33, (1,) * 65, (2,) * 64, (2**40,)),
    *((2**20, 2**20), (2**31, 2**31), (2**32, 2**32, 0), (-1,), (-1, -1), (2**63,), 3, None, "x"),
)


def harm_header(dice: Random, content: bytes, pool: Sequence[bytes]) -> bytes:
    """Change type, rank or sizes of an IDX file; its values keep their length or follow."""
    if len(content) < 8:
        return flip_bits(dice, content, pool)
    rank = content[3]
    what = dice.randrange(4)
    if what == 0:
        return content[:2] + bytes([dice.choice((0, 8, 9, 10, 11, 12, 13, 14, 255))]) + content[3:]
    if what == 1:
        return (
            content[:3] + bytes([dice.choice((0, 1, 2, 3, 4, 31, 32, 33, 64, 255))]) + content[4:]
        )
    at = 4 + 4 * dice.randrange(max(rank, 1))
    harmed = content[:at] + struct.pack(">I", dice.choice(SIZES)) + content[at + 4 :]
    if what == 2:
        return harmed
    sizes = struct.unpack(f">{rank}I", harmed[4 : 4 + 4 * rank].ljust(4 * rank, b"\0"))
    wanted = 1
    for size in sizes:
        wanted *= size
    return (
        harmed if wanted > 1 << 20 else harmed[: 4 + 4 * rank].ljust(4 + 4 * rank + wanted, b"\1")
    )


def harm_npy(dice: Random, content: bytes, pool: Sequence[bytes]) -> bytes:
    """Change the header of an npy file, or give it other values."""
    what = dice.randrange(6)
    if what == 0:
        return write_npy(_odd_array(dice))
    if what == 1:  # an archive in place of an array
        return write_npz({dice.choice(("psfs.npy", "x.npy", "x")): content})
    try:
        header, values, version = _split(content)
    except (ValueError, SyntaxError, struct.error):
        return flip_bits(dice, content, pool)
    if what == 2:
        return _join(header, _odd_values(dice, values, header), version)
    key = dice.choice(("descr", "fortran_order", "shape", "shape", "descr", "extra"))
    if key == "shape":
        header["shape"] = _odd_shape(dice, header["shape"])
    elif key == "descr":
        header["descr"] = dice.choice(TYPES)
    else:
        header[key] = dice.choice((True, False, None, 3, "x"))
    if dice.random() < 0.1:
        header.pop(dice.choice(list(header)))
    return _join(header, values, dice.choice((version, version, version, 2, 3, 9)))


def harm_npz(dice: Random, content: bytes, pool: Sequence[bytes]) -> bytes:
    """Change one member of an npz, or which members there are."""
    try:
        members = _members(content)
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, NotImplementedError, RuntimeError):
        return flip_bits(dice, content, pool)
    if not members:
        return write_npz({"x.npy": b""})
    name, what = dice.choice(sorted(members)), dice.randrange(9)
    arrays = [array for other in pool[:8] for array in _members(other).values()]
    if what == 0:
        del members[name]
    elif what == 1:
        members[dice.choice(("x.npy", name.removesuffix(".npy"), "../x.npy", ""))] = members.pop(
            name
        )
    elif what == 2:
        members[name] = dice.choice(arrays)
    elif what == 3:
        members[name] = dice.choice(
            (b"", b"PK\x03\x04", b"\x80\x04N.", dice.randbytes(50), b"text")
        )
    elif what == 4:
        members[name] = dice.choice(COMMON)(dice, members[name], arrays)
    elif what == 5:
        bare = next(iter(members.values()))  # an array in place of an archive
        return bare
    else:
        members[name] = harm_npy(dice, members[name], arrays)
    return write_npz(members, dice.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED)))


def harm_zip(dice: Random, content: bytes, pool: Sequence[bytes]) -> bytes:
    """Change fields of the archive itself: sizes, methods, flags, positions, names, bombs."""
    if dice.random() < 0.25:
        return _bomb(dice, content)
    marks = {b"PK\x03\x04": 30, b"PK\x01\x02": 46, b"PK\x05\x06": 22}
    mark = dice.choice(list(marks))
    places = [at for at in range(len(content)) if content.startswith(mark, at)]
    if not places:
        return flip_bits(dice, content, pool)
    at = dice.choice(places) + dice.randrange(4, marks[mark])
    size = dice.choice((1, 2, 4))
    value = dice.choice((0, 1, 8, 9, 12, 14, 93, 99, 0x7FFFFFFF, 0xFFFF, 0xFFFFFFFF)) % (
        1 << 8 * size
    )
    return content[:at] + value.to_bytes(size, "little") + content[at + size :]


def _bomb(dice: Random, content: bytes) -> bytes:
    """An npz whose member unpacks to far more than the archive's size, or than it states."""
    from fuzzing.damage_gzip import inner_stream

    try:
        name = dice.choice(sorted(_members(content)))
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, IndexError, NotImplementedError):
        name = "x.npy"
    zeros = dice.choice((1 << 24, 1 << 30, 1 << 32))
    shape = dice.choice(((zeros // 8,), (10,), (1 << 40,), (2, zeros // 16)))
    head = _join({"descr": "<f8", "fortran_order": False, "shape": shape}, b"", 1)
    packed = inner_stream(head, zeros)[:-8]
    stated = dice.choice((len(head) + zeros, len(head) + 80, 0)) & 0xFFFFFFFF
    return _single_member(name, packed, stated)


def _single_member(name: str, packed: bytes, size: int) -> bytes:
    spelled = name.encode()
    fields = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, 0, len(packed), size, len(spelled), 0)
    local = b"PK\x03\x04" + fields + spelled + packed
    central = b"PK\x01\x02" + struct.pack("<H", 20) + fields + struct.pack("<HHHII", 0, 0, 0, 0, 0)
    central += spelled
    end = struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)
    return local + central + b"PK\x05\x06" + end


def write_npy(array: np.ndarray) -> bytes:
    """An array as an npy file, pickled where it has to be."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def write_npz(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An archive of members that need not be arrays."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name or "_"), content, method, 1)
    return buffer.getvalue()


def _members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _split(content: bytes) -> tuple[dict, bytes, int]:
    version = content[6]
    size, start = ("<H", 10) if version == 1 else ("<I", 12)
    (length,) = struct.unpack(size, content[8:start])
    header = ast.literal_eval(content[start : start + length].decode("latin1").strip())
    return header, content[start + length :], version


def _join(header: object, values: bytes, version: int) -> bytes:
    text = repr(header).encode("latin1", "replace")
    start = 10 if version == 1 else 12
    text += b" " * (-(start + len(text) + 1) % 64) + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + values


def _odd_shape(dice: Random, shape: tuple) -> object:
    what = dice.randrange(4)
    if what == 0 or not shape:
        return dice.choice(SHAPES)
    changed = list(shape)
    if what == 1:
        changed.pop(dice.randrange(len(changed)))
    elif what == 2:
        changed.insert(dice.randrange(len(changed) + 1), dice.choice((0, 1, 2)))
    else:
        changed[dice.randrange(len(changed))] = dice.choice(LENGTHS)
    return tuple(changed)


def _odd_values(dice: Random, values: bytes, header: dict) -> bytes:
    """Not finite, negative or extreme numbers in place of some, as the array's type has them."""
    try:
        array = np.frombuffer(values, np.dtype(header["descr"])).copy()
    except (ValueError, TypeError):
        return dice.randbytes(len(values))
    if array.dtype.kind not in "fiu" or not array.size:
        return dice.randbytes(len(values))
    odd = (np.nan, np.inf, -np.inf, 1e38, -1, 0) if array.dtype.kind == "f" else (0, 1, 2**7, 2**15)
    value = dice.choice(odd)
    with np.errstate(all="ignore"):
        chosen = slice(None) if dice.random() < 0.3 else dice.randrange(array.size)
        array[chosen] = np.array(value).astype(array.dtype)
    return array.tobytes()


def _odd_array(dice: Random) -> np.ndarray:
    return dice.choice(
        (
            np.array(3.0),
            np.array("text"),
            np.array(["a", "b"]),
            np.array([b"a", b"\xff"]),
            np.array([None, {}], dtype=object),
            np.array(2 + 3j),
            np.zeros(0),
            np.zeros((0, 3)),
            np.array([True, False]),
            np.zeros(3, dtype=[("a", "<f4"), ("b", "u1")]),
            np.array(["2020-01-01"], dtype="M8[D]"),
            np.full((3, 3), np.nan),
            np.ones((1,) * 20),
        )
    )
