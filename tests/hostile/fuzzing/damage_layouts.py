"""Harm to layout files: records of GDSII, and OASIS whose checksum is set right."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from random import Random

from fuzzing.damage_bytes import COMMON, flip_bits

TYPES = tuple(range(0x3C))
NUMBERS = (0, 1, -1, 2, 1000, 2**31 - 1, -(2**31), 0x7FFF, -0x8000)


def harm_gds(dice: Random, content: bytes, pool: Sequence[bytes]) -> bytes:
    """Change, drop, double or exchange records of a GDSII file."""
    records = _records(content)
    if not records:
        return flip_bits(dice, content, pool)
    at, what = dice.randrange(len(records)), dice.randrange(7)
    kind, values = records[at]
    if what == 0:
        del records[at]
    elif what == 1:
        records.insert(dice.randrange(len(records)), records[at])
    elif what == 2:
        other = dice.randrange(len(records))
        records[at], records[other] = records[other], records[at]
    elif what == 3:
        records[at] = (
            bytes([dice.choice(TYPES), dice.choice((kind[1], dice.randrange(8)))]),
            values,
        )
    elif what == 4:
        records[at] = (kind, dice.choice(COMMON)(dice, values, [values])[:4000])
    elif what == 5 and values:
        size, code = dice.choice(((2, ">h"), (4, ">i")))
        place = dice.randrange(0, len(values), size)
        number = struct.pack(
            code,
            max(min(dice.choice(NUMBERS), 0x7FFF), -0x8000) if size == 2 else dice.choice(NUMBERS),
        )
        records[at] = (kind, values[:place] + number + values[place + size :])
    else:  # a cell that holds itself or another's: SNAME is a copy of a STRNAME
        names = [values for kind, values in records if kind == b"\x06\x06"]
        records = [(k, dice.choice(names) if k == b"\x12\x06" and names else v) for k, v in records]
    return b"".join(struct.pack(">H", 4 + len(v) & 0xFFFF) + k + v for k, v in records)


def harm_oasis(dice: Random, content: bytes, pool: Sequence[bytes]) -> bytes:
    """Change an OASIS file anywhere and state its right CRC-32 at its end."""
    body = content[:-5]
    harmed = dice.choice(COMMON)(dice, body, [other[:-5] for other in pool])
    if dice.random() < 0.3:
        harmed = _harm_block(dice, body)
    signed = harmed + b"\x01"
    return signed + struct.pack("<I", zlib.crc32(signed))


def _harm_block(dice: Random, body: bytes) -> bytes:
    """Change what is within a compressed block (record 34: scheme, length, length, bytes)."""
    places = [at for at in range(len(body) - 4) if body[at] == 34 and body[at + 1] == 0]
    dice.shuffle(places)
    for at in places:
        length, after = _unsigned(body, at + 2)
        packed_length, start = _unsigned(body, after)
        try:
            inner = zlib.decompress(body[start : start + packed_length], -15)
        except zlib.error:
            continue
        harmed = dice.choice(COMMON)(dice, inner, [inner])
        packer = zlib.compressobj(1, wbits=-15)
        packed = packer.compress(harmed) + packer.flush()
        stated = len(harmed) if dice.random() < 0.7 else dice.choice((0, 1, 2**20, 2**40, length))
        head = bytes([34, 0]) + _write(stated) + _write(len(packed))
        return body[:at] + head + packed + body[start + packed_length :]
    return body


def _unsigned(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(body):
        value |= (body[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not body[at - 1] & 0x80:
            break
    return value, at


def _write(value: int) -> bytes:
    written = bytearray()
    while True:
        written.append(value & 0x7F | (0x80 if value > 0x7F else 0))
        value >>= 7
        if not value:
            return bytes(written)


def _records(content: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 0
    while at + 4 <= len(content):
        (length,) = struct.unpack(">H", content[at : at + 2])
        if length < 4:
            break
        found.append((content[at + 2 : at + 4], content[at + 4 : at + length]))
        at += length
    return found
