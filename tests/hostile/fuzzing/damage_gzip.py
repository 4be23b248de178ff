"""Harm to gzip files, and to what is within."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from random import Random

from fuzzing.damage_arrays import harm_header
from fuzzing.damage_bytes import COMMON

MEMBER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"  # the header of a gzip member without options


def harm_gzip(dice: Random, content: bytes, pool: Sequence[bytes]) -> bytes:
    """Harm the content and compress it again, or let it unpack to far more than it states."""
    what = dice.randrange(8)
    inner = _unpack(content)
    if what == 0:
        return MEMBER + inner_stream(inner, zeros=dice.choice((1 << 20, 1 << 26, 1 << 32)))
    if what == 1:
        return content + gzip.compress(bytes(dice.choice((1, 1 << 20))), mtime=0)
    if what == 2:
        return gzip.compress(content, mtime=0)
    harm = harm_header if what < 6 else dice.choice(COMMON)
    return gzip.compress(harm(dice, inner, [_unpack(other) for other in pool]), 1, mtime=0)


def inner_stream(start: bytes, zeros: int) -> bytes:
    """A deflate stream of some bytes and very many zeros, in no time, with a wrong checksum.

    After a full flush the compressor has forgotten what was before, so that what it then writes
    for a block of zeros can be repeated.
    """
    block = 1 << 20
    packer = zlib.compressobj(9, wbits=-15)
    head = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    packed = packer.compress(bytes(block)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + packed * (zeros // block) + packer.flush() + bytes(8)


def _unpack(content: bytes) -> bytes:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        return content
