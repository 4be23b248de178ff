"""Harm to text: its numbers, lines, cells, and what YAML can be made to do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

NUMBERS = (
    *("0", "-0", "-1", "1", "2", "3.5", "255", "256", "65536", "4294967296", "1e22", "1e308"),
    *("-1e308", "1e309", "1e-320", "nan", "inf", "-inf", ".nan", ".inf", "1e999999999", "0x10"),
    *("1_000", "1:30", "010", "9" * 30, "9" * 400, "9" * 5000, "", " ", "½", "١٢", "true", "null"),
)
ODDITIES = (
    *("\x00", "\x1b[31m", "\x7f", "\u2028", "\u202e", "\ufeff", "\ud7ff", "é", "\U0001f600", "\r"),
    *("\n", "\n\n\n", "\t", '"', "'", '"' * 3, ",", ",,,,", ";", "#", ":", ": ", "- ", "[/x]", "%"),
    *("{", "}", "[", "]", "&a ", "*a", "!!x ", "|\n", ">\n", "---\n", "...\n", "\\", "../", "/"),
    *("[" * 2000, "{" * 2000, "{a: " * 500, "- " * 1000, "(" * 3000, "x" * 200_000, "0," * 50_000),
)
RAW = (b"\xff\xfe", b"\xc3", b"\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\x00" * 100)
NUMBER = re.compile(rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def harm_numbers(dice: Random, content: bytes, pool: Sequence[bytes]) -> bytes:
    """Replace one number, or a few, by an extreme or by something that is none."""
    for _ in range(dice.choice((1, 1, 1, 3))):
        found = list(NUMBER.finditer(content))
        if found:
            match = dice.choice(found)
            number = dice.choice(NUMBERS).encode()
            content = content[: match.start()] + number + content[match.end() :]
    return content


def harm_lines(dice: Random, content: bytes, pool: Sequence[bytes]) -> bytes:
    """Drop, double, exchange or indent lines, or change the ends of all of them."""
    lines = content.split(b"\n")
    first, second = dice.randrange(len(lines)), dice.randrange(len(lines))
    what = dice.randrange(6)
    if what == 0:
        del lines[first]
    elif what == 1:
        lines.insert(second, lines[first])
    elif what == 2:
        lines[first], lines[second] = lines[second], lines[first]
    elif what == 3:
        lines[first] = dice.choice((b" ", b"    ", b"\t")) + lines[first]
    elif what == 4:
        lines[first] = lines[first].lstrip()
    return dice.choice((b"\n", b"\n", b"\r\n", b"\r")).join(lines)


def insert_oddity(dice: Random, content: bytes, pool: Sequence[bytes]) -> bytes:
    """Put something odd somewhere: control characters, quotes, depth, bytes that are no UTF-8."""
    odd = dice.choice((*(text.encode() for text in ODDITIES), *RAW))
    at = dice.randrange(len(content) + 1)
    return content[:at] + odd + content[at + dice.choice((0, 0, 1, 5)) :]


def harm_cells(dice: Random, content: bytes, pool: Sequence[bytes]) -> bytes:
    """Change cells of a table: their values, number, quotes and separators."""
    lines = content.split(b"\n")
    rows = [number for number, line in enumerate(lines) if line.strip()]
    if not rows:
        return content
    row = dice.choice((rows[0], dice.choice(rows)))
    cells = lines[row].split(b",")
    cell = dice.randrange(len(cells))
    what = dice.randrange(8)
    if what == 0:
        cells[cell] = dice.choice(NUMBERS).encode()
    elif what == 1:
        del cells[cell]
    elif what == 2:
        cells.insert(cell, cells[dice.randrange(len(cells))])
    elif what == 3:
        cells[cell] = b'"' + cells[cell] + dice.choice((b'"', b"", b'""', b'\n"'))
    elif what == 4:
        other = dice.choice(dice.choice(pool).split(b"\n")).split(b",")
        cells[cell] = dice.choice(other)
    elif what == 5:
        paths = (b"..", b"../x.png", b"/etc/passwd", b".", b"a/b", b"C:\\x", b"x\x00y", b"\xff.png")
        cells[cell] = dice.choice(paths)
    elif what == 6:
        cells[cell] = dice.choice(ODDITIES).encode()
    else:
        return content.replace(b",", dice.choice((b";", b"\t", b", ", b",,")))
    lines[row] = b",".join(cells)
    return b"\n".join(lines)


def _bomb(depth: int, width: int) -> bytes:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, depth)]
    return "\n".join(lines).encode()


YAML = (
    *(b"x: !!python/object/apply:os.system [ls]", b"x: !!python/name:os.system", b"!!binary x"),
    *(b"x: !!timestamp 2001-99-99", b"2001-99-99", b"x: 2001-13-45T99:99:99Z", b"x: !!int x"),
    *(b"x: !!float x", b"x: !!set {a, b}", b"x: !!omap [a]", b"x: !!pairs x", b"x: !!bool maybe"),
    *(b"&a [*a]", b"x: &a {y: *a}", b"<<: {name: x}", b"<<: [1, 2]", b"<<: *x", b"? [a, b]\n: c"),
    *(b"? {a: b}\n: c", b"x: *nowhere", b"- a", b"--- a\n--- b", b"%YAML 9.9\n---\na: b", b"@x"),
    *(b"%TAG ! x\n---\n!a b", b"x: 0o8", b"x: 0b2", b"x: 1e", b"x: =", b"=: x", b"~: x", b"1: x"),
    *(b"x: " + b"9" * 5000, b"x: 190:20:30" + b":59" * 3000, b"\xef\xbb\xbfname: x", b"x: \x85 y"),
    *(_bomb(9, 9), _bomb(30, 2), _bomb(3, 3), b"[" * 5000 + b"]" * 5000, b"{a: " * 3000),
    *(b"- " * 3000 + b"x", b"a:\n" + b"".join(b" " * n + b"a:\n" for n in range(1, 800))),
    *("name: x".encode("utf-16"), "name: x".encode("utf-16-be"), "name: x".encode("utf-32")),
)


def harm_yaml(dice: Random, content: bytes, pool: Sequence[bytes]) -> bytes:
    """Put what YAML can be made to do before, after, into or in place of a file."""
    evil, what = dice.choice(YAML), dice.randrange(4)
    if what == 0:
        return evil
    if what == 1:
        return content + b"\n" + evil
    if what == 2:
        return evil + b"\n" + content
    values = list(re.finditer(rb"(?<=: )[^\n]+", content))
    if not values:
        return evil
    match = dice.choice(values)
    value = evil.partition(b": ")[2] or evil
    return content[: match.start()] + value + content[match.end() :]
