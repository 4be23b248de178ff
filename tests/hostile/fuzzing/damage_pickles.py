"""Harm to pickles, opcode by opcode."""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Sequence
from random import Random

from fuzzing.damage_bytes import flip_bits

OPCODES = tuple(bytes([ord(opcode.code)]) for opcode in pickletools.opcodes)
NEST = 50_000
EVIL = (
    *(
        b"cos\nsystem\n(S'ls'\ntR",
        b"cbuiltins\neval\n(S'1'\ntR",
        b"cnumpy\nload\n(S'x'\ntR",
        b"c\n\n",
    ),
    *(
        b"\x8c\x02os\x8c\x06system\x93",
        b"\x93",
        b"(S'x'\nios\nsystem\n",
        b"\x81",
        b"\x92",
        b"o",
        b"b",
    ),
    *(b"cnumpy.core.multiarray\n_reconstruct\n)R", b"cnumpy\ndtype\n(S'O8'\nK\x00K\x01tR"),
    *(b"cnumpy\ndtype\n)R", b"cnumpy\nndarray\n)\x81", b"c_codecs\nencode\n(Vx\nVutf-16\ntR"),
    *(
        b"r\xff\xff\xff\x7f",
        b"r\xff\xff\xff\xff",
        b"q\xff",
        b"p999999999\n",
        b"p-1\n",
        b"\x94" * 99,
    ),
    *(b"j\xff\xff\xff\x7f", b"h\xff", b"g99999\n", b"g-1\n", b"N" * 1000, b"(" * 1000, b"0" * 9),
    *(b"\x85" * NEST, b")" + b"\x85" * NEST, b"]" * 100 + b"a" * 99, b"(" * NEST, b"1", b"2" * 999),
    *(
        b"(l" * NEST,
        b"]\x94h\x00a",
        b"}h\x00h\x00s",
        b"\x8f",
        b"\x90",
        b"(\x91",
        b"2a",
        b"2e",
        b"u",
    ),
    *(
        b"\x8b" + struct.pack("<i", 2**31 - 1),
        b"\x8b" + struct.pack("<i", -1),
        b"\x8a\xff" + b"\1" * 255,
    ),
    *(
        b"B" + struct.pack("<I", 2**32 - 1),
        b"\x8e" + struct.pack("<Q", 2**63),
        b"T\xff\xff\xff\x7f",
    ),
    *(
        b"\x8d" + struct.pack("<Q", 2**40),
        b"X\xff\xff\xff\xff",
        b"\x96" + struct.pack("<Q", 1 << 40),
    ),
    *(
        b"\x95" + struct.pack("<Q", 2**62),
        b"\x95" + bytes(8),
        b"\x80\xff",
        b"\x80\x05",
        b"\x82\x01",
    ),
    *(
        b"\x83\xff\xff",
        b"\x84\xff\xff\xff\x7f",
        b"\x97",
        b"\x98",
        b"Px\n",
        b"Q",
        b"I" + b"9" * 9999 + b"\n",
    ),
    *(
        b"L" + b"9" * 5000 + b"L\n",
        b"Fnan\n",
        b"F1e999\n",
        b"Ix\n",
        b"S'\\xzz'\n",
        b"S'x\n",
        b"V\\ud800\n",
    ),
)


def harm_opcodes(dice: Random, content: bytes, pool: Sequence[bytes]) -> bytes:
    """Insert, drop, double or exchange opcodes, or put hostile ones in."""
    try:
        places = [at for _, _, at in pickletools.genops(content) if at is not None]
    except Exception:  # a damaged pickle can fail in any way
        return flip_bits(dice, content, pool)
    places.append(len(content))
    first = dice.randrange(len(places) - 1)
    start, stop = places[first], places[first + 1]
    what = dice.randrange(7)
    if what < 2:
        return content[:start] + dice.choice(EVIL) + content[start:]
    if what == 2:
        return content[:start] + content[stop:]
    if what == 3:
        return content[:stop] + content[start:stop] * dice.choice((1, 50)) + content[stop:]
    if what == 4:
        return content[:start] + dice.choice(OPCODES) + content[start + dice.choice((0, 1)) :]
    if what == 5:
        second = dice.randrange(len(places) - 1)
        other = content[places[second] : places[second + 1]]
        return content[:start] + other + content[stop:]
    return b"\x80\x02" + dice.choice(EVIL) + dice.choice((b"", b"N", b"s", b"a")) + b"."
