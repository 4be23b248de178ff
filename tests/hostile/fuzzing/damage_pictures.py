"""Harm to pictures that gets past their checksums: PNG chunks and TIFF tags."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from random import Random

from fuzzing.damage_bytes import COMMON, flip_bits

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SIZES = (0, 1, 2, 7, 255, 65535, 100_000, 2**31 - 1, 2**31, 2**32 - 1)


def harm_chunks(dice: Random, content: bytes, pool: Sequence[bytes]) -> bytes:
    """Change chunks of a PNG and set their checksums right."""
    try:
        chunks = _chunks(content)
        at = dice.randrange(len(chunks))
    except (struct.error, ValueError):
        return flip_bits(dice, content, pool)
    what = dice.randrange(8)
    if what == 0:
        chunks[0] = (b"IHDR", _odd_head(dice, chunks[0][1]))
    elif what == 1:
        _harm_pixels(dice, chunks)
    elif what == 2:
        del chunks[at]
    elif what == 3:
        chunks.insert(dice.randrange(len(chunks) + 1), chunks[at])
    elif what == 4:
        kind = dice.choice(
            (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"xxxx", b"acTL", b"fcTL")
        )
        chunks[at] = (kind, chunks[at][1])
    elif what == 5:
        chunks.insert(1, _ancillary(dice))
    else:
        kind, values = chunks[at]
        chunks[at] = (kind, dice.choice(COMMON)(dice, values, [values]))
    return SIGNATURE + b"".join(_pack(kind, values) for kind, values in chunks)


def _chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], len(SIGNATURE)
    while at + 12 <= len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        found.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def _pack(kind: bytes, values: bytes) -> bytes:
    checksum = zlib.crc32(kind + values)
    return struct.pack(">I", len(values)) + kind + values + struct.pack(">I", checksum)


def _odd_head(dice: Random, head: bytes) -> bytes:
    at = dice.choice((0, 0, 4, 4, 8, 9, 10, 11, 12))
    if at < 8:
        return head[:at] + struct.pack(">I", dice.choice(SIZES)) + head[at + 4 :]
    return head[:at] + bytes([dice.choice((0, 1, 2, 3, 4, 6, 8, 16, 255))]) + head[at + 1 :]


def _harm_pixels(dice: Random, chunks: list[tuple[bytes, bytes]]) -> None:
    values = b"".join(values for kind, values in chunks if kind == b"IDAT")
    try:
        pixels = zlib.decompress(values)
    except zlib.error:
        return
    bomb = bytes(dice.choice((1 << 20, 1 << 24)))
    harmed = bomb if dice.random() < 0.2 else dice.choice(COMMON)(dice, pixels, [pixels])
    chunks[:] = [chunk for chunk in chunks if chunk[0] != b"IDAT"]
    chunks.insert(len(chunks) - 1, (b"IDAT", zlib.compress(harmed, 1)))


def _ancillary(dice: Random) -> tuple[bytes, bytes]:
    packed = zlib.compress(bytes(dice.choice((100, 1 << 24))), 9)
    return dice.choice(
        (
            (b"zTXt", b"x\0\0" + packed),
            (b"iCCP", b"x\0\0" + packed),
            (b"iTXt", b"x\0\1\0\0\0" + packed),
            (b"tEXt", b"x" * 100_000),
            (b"eXIf", b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1" + dice.randbytes(4)),
            (b"acTL", struct.pack(">II", dice.choice((0, 1, 2**31)), 0)),
            (b"tRNS", dice.randbytes(dice.choice((0, 1, 2, 6, 300)))),
            (b"PLTE", dice.randbytes(dice.choice((0, 1, 3, 768, 900)))),
        )
    )


def harm_tags(dice: Random, content: bytes, pool: Sequence[bytes]) -> bytes:
    """Change entries of a TIFF's directory: tag, type, number, value."""
    try:
        order = {b"II": "<", b"MM": ">"}[content[:2]]
        (start,) = struct.unpack(order + "I", content[4:8])
        (count,) = struct.unpack(order + "H", content[start : start + 2])
        entry = start + 2 + 12 * dice.randrange(count)
        tag, kind, number, value = struct.unpack(order + "HHII", content[entry : entry + 12])
    except (KeyError, struct.error, ValueError):
        return flip_bits(dice, content, pool)
    what = dice.randrange(6)
    if what == 0:
        tag = dice.choice(
            (254, 256, 257, 258, 259, 262, 270, 273, 277, 278, 279, 282, 317, 322, 339, 700)
        )
    elif what == 1:
        kind = dice.choice((0, 1, 2, 3, 4, 5, 7, 11, 12, 13, 16, 255))
    elif what == 2:
        number = dice.choice(SIZES)
    elif what < 5:
        value = dice.choice(
            (*SIZES, 3, 4, 5, 8, 16, 32, 64, 8 << 16, 32773, 50000, start, len(content))
        )
    else:  # the next directory: this one again, or nowhere
        end = start + 2 + 12 * count
        following = struct.pack(order + "I", dice.choice((start, 8, len(content), 2**32 - 1)))
        return content[:end] + following + content[end + 4 :]
    packed = struct.pack(order + "HHII", tag, kind, number, value)
    return content[:entry] + packed + content[entry + 12 :]
