"""Harm to MATLAB files of version 5: a head of 128 bytes, then elements, often compressed."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from random import Random

from fuzzing.damage_bytes import COMMON, flip_bits

HEAD, COMPRESSED = 128, 15
SIZES = (0, 1, 4, 7, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1)


def harm_elements(dice: Random, content: bytes, pool: Sequence[bytes]) -> bytes:
    """Change an element's type, size, shape or values, within the compression."""
    try:
        kind, length = struct.unpack("<II", content[HEAD : HEAD + 8])
        body = content[HEAD + 8 : HEAD + 8 + length]
        inner = zlib.decompress(body) if kind == COMPRESSED else content[HEAD:]
    except (struct.error, zlib.error):
        return flip_bits(dice, content, pool)
    what = dice.randrange(5)
    if what == 0:
        harmed = dice.choice(COMMON)(dice, inner, [inner])
    elif what == 1:  # nested compression, or far more than is stated
        harmed = dice.choice((_element(COMPRESSED, zlib.compress(inner)), inner + bytes(1 << 24)))
    else:  # types and sizes lie at multiples of four bytes, most of them at the beginning
        at = 4 * dice.randrange(min(len(inner), 80) // 4)
        value = dice.choice((*SIZES, *range(1, 20), 0x10005, 0x40001))
        harmed = inner[:at] + struct.pack("<I", value & 0xFFFFFFFF) + inner[at + 4 :]
    if dice.random() < 0.2:
        return content[:HEAD] + harmed
    return content[:HEAD] + _element(COMPRESSED, zlib.compress(harmed, 1))


def _element(kind: int, values: bytes) -> bytes:
    return struct.pack("<II", kind, len(values)) + values
