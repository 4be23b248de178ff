"""Harm that any file can take, whatever its format."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
HUGE = (0x7FFFFFFFFFFFFFFF, 0x8000000000000000, 0xFFFFFFFFFFFFFFFF, 1 << 40, 1 << 33)


def flip_bits(dice: Random, content: bytes, pool: Sequence[bytes]) -> bytes:
    """Invert one to eight bits."""
    harmed = bytearray(content)
    for _ in range(dice.randint(1, 8) if harmed else 0):
        harmed[_place(dice, harmed)] ^= 1 << dice.randrange(8)
    return bytes(harmed)


def set_number(dice: Random, content: bytes, pool: Sequence[bytes]) -> bytes:
    """Write an extreme integer of 1 to 8 bytes somewhere, in either byte order."""
    size = dice.choice((1, 2, 4, 8))
    value = dice.choice(EXTREMES + HUGE + (dice.getrandbits(64),)) % (1 << (8 * size))
    at = _place(dice, content)
    number = value.to_bytes(size, dice.choice(("little", "big")))
    return content[:at] + number + content[at + size :]


def truncate(dice: Random, content: bytes, pool: Sequence[bytes]) -> bytes:
    """Cut the end off."""
    return content[: _place(dice, content)]


def extend(dice: Random, content: bytes, pool: Sequence[bytes]) -> bytes:
    """Append noise, zeros or the file itself."""
    tail = dice.choice((dice.randbytes(dice.randint(1, 99)), bytes(4096), content))
    return content + tail


def remove(dice: Random, content: bytes, pool: Sequence[bytes]) -> bytes:
    """Take a piece out."""
    at = _place(dice, content)
    return content[:at] + content[at + _length(dice) :]


def repeat(dice: Random, content: bytes, pool: Sequence[bytes]) -> bytes:
    """Put a piece in once or many times more."""
    at, length = _place(dice, content), _length(dice)
    piece = content[at : at + length]
    return content[:at] + piece * dice.choice((2, 3, 100)) + content[at + length :]


def splice(dice: Random, content: bytes, pool: Sequence[bytes]) -> bytes:
    """The beginning of one valid file and the end of another."""
    other = dice.choice(pool)
    return content[: _place(dice, content)] + other[_place(dice, other) :]


def copy_over(dice: Random, content: bytes, pool: Sequence[bytes]) -> bytes:
    """Write a piece of a valid file over another place."""
    other, length = dice.choice(pool), _length(dice)
    start, at = _place(dice, other), _place(dice, content)
    return content[:at] + other[start : start + length] + content[at + length :]


def replace(dice: Random, content: bytes, pool: Sequence[bytes]) -> bytes:
    """Something else altogether."""
    return dice.choice((b"", dice.randbytes(dice.randint(1, 300)), bytes(1000), b"<html>"))


COMMON = (flip_bits, flip_bits, set_number, set_number, truncate, extend, remove, repeat)
COMMON += (splice, copy_over, replace)


def _place(dice: Random, content: bytes | bytearray) -> int:
    """A position; every other time near the beginning, where headers are."""
    if not content:
        return 0
    return dice.randrange(min(len(content), 64) if dice.random() < 0.5 else len(content))


def _length(dice: Random) -> int:
    return dice.choice((1, 2, 4, 8, dice.randint(1, 64), dice.randint(1, 4096)))
