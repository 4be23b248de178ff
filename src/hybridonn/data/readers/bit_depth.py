"""How many bits cameras filled in files of 16 bits: 10, 12 or 14, at either end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path

from hybridonn.core.errors import DataError

DEPTHS = (8, 10, 12, 14, 16)  # of cameras' values


@dataclass(frozen=True)
class BitDepth:
    """What the values of a set's 16-bit files mean.

    Attributes:
        bits: White is ``2**bits - 1``.
        remark: How that was found out, a sentence.
    """

    bits: int
    remark: str


def find_bit_depth(used: Mapping[Path, int], stated: int | None) -> BitDepth:
    """The depth of the values in a set's files of 16 bits.

    Not stated, it is the least usual depth of cameras that holds all values of all files.
    Values of less than 16 bits that lie in the upper bits are as good as 16 bits.

    Args:
        used: For each file all bits that are set in any of its values.
        stated: What the user states; None: nothing.

    Raises:
        DataError: A file holds values that the stated depth does not allow.
    """
    together = reduce(or_, used.values(), 0)
    filled = together.bit_length()
    empty = (together & -together).bit_length() - 1 if together else 0  # of the lower bits
    count = f"{len(used):,} images lie in files of 16 bits"
    if filled == 16 and empty >= max(1, 16 - (stated or DEPTHS[-2])):
        return BitDepth(16, f"{count}, their values in the upper {16 - empty} bits")
    if stated is None:
        bits = next(depth for depth in DEPTHS if depth >= filled)
        held = f"{count} and use {filled} bits, so {2**bits - 1:,} is white"
        return BitDepth(bits, f"{held}; if it is another value, state data.bit_depth")
    if filled > stated:
        path = next(path for path, bits in used.items() if bits.bit_length() > stated)
        raise DataError(
            f"{path} holds values above {2**stated - 1:,}, the largest with data.bit_depth: "
            f"{stated}; state the depth that the camera has, or leave it out"
        )
    return BitDepth(stated, f"{count}, and {2**stated - 1:,} is white, as data.bit_depth states")
