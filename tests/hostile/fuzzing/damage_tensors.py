"""Harm to safetensors files: eight bytes of length, a header in JSON, then the values."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from random import Random

from fuzzing.damage_bytes import flip_bits
from fuzzing.damage_trees import VALUES, harm_tree

TYPES = (
    "F64",
    "F32",
    "F16",
    "BF16",
    "I64",
    "I32",
    "I8",
    "U8",
    "BOOL",
    "F8_E4M3",
    "X",
    "U64",
    "C64",
)


def harm_tensors(dice: Random, content: bytes, pool: Sequence[bytes]) -> bytes:
    """Change header, names, types, shapes, positions, values or notes of the tensors."""
    try:
        (length,) = struct.unpack("<Q", content[:8])
        header, values = json.loads(content[8 : 8 + length]), content[8 + length :]
        names = [name for name in header if name != "__metadata__"]
        name = dice.choice(names)
    except (ValueError, struct.error, IndexError):
        return flip_bits(dice, content, pool)
    what = dice.randrange(9)
    if what == 0:
        header = harm_tree(dice, header)
    elif what == 1:
        header[name]["dtype"] = dice.choice(TYPES)
    elif what == 2:
        shape = header[name]["shape"]
        header[name]["shape"] = dice.choice(
            ([], [0], [2**63], [2**32, 2**32], shape[::-1], [*shape, 1])
        )
    elif what == 3:
        header[name]["data_offsets"] = dice.choice(
            ([0, 2**62], [5, 3], [0, 0], [-1, 4], [0, len(values)])
        )
    elif what == 4:
        header[dice.choice(("x", "network/x", "optimizer/x", "optimizer/0/x", "best/x"))] = (
            header.pop(name)
        )
    elif what == 5:
        header = _harm_notes(dice, header)
    elif what == 6:
        values = _harm_values(dice, values, header[name])
    elif what == 7:  # as if it were another network's: two tensors change names
        other = dice.choice(names)
        header[name], header[other] = header[other], header[name]
    else:
        return (
            struct.pack("<Q", dice.choice((0, 1, 2**63, 2**64 - 1, 10**9, length + 1)))
            + content[8:]
        )
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(text)) + text + values


def _harm_notes(dice: Random, header: dict) -> dict:
    notes = header.get("__metadata__", {})
    try:
        tree = harm_tree(dice, json.loads(notes.get("notes", "{}")))
    except ValueError:
        tree = None
    odd = (json.dumps(tree), "{", "[]", "", "null", "1", '{"epoch": "x"}', '{"x": 1}')
    header["__metadata__"] = {"notes": dice.choice((odd[0], odd[0], odd[0], *odd))}
    if dice.random() < 0.1:
        header["__metadata__"] = dice.choice((*VALUES[:10], {"notes": 1}, {}))
    return header


def _harm_values(dice: Random, values: bytes, entry: dict) -> bytes:
    start, stop = entry["data_offsets"]
    odd = dice.choice((b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x7f", b"\xff\xff\x7f\x7f", bytes(4)))
    return values[:start] + (odd * ((stop - start) // 4 + 1))[: stop - start] + values[stop:]
