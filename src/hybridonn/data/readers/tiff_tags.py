"""The tags of a TIFF's first page, read without its pixels (TIFF Revision 6.0, section 2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, BinaryIO

# Codes of the types of values, by their numbers: bytes, whole numbers, fractions, floats.
_TYPES = MappingProxyType(
    {1: "B", 2: "B", 3: "H", 4: "I", 5: "II", 6: "b", 7: "B", 8: "h", 9: "i", 10: "ii", 11: "f"}
    | {12: "d", 13: "I", 16: "Q", 17: "q", 18: "Q"}
)
# Bounds of what is read of a damaged or hostile file.
_MOST_PAGES, _MOST_TAGS, _MOST_NUMBERS, _MOST_BYTES = 10_000, 4096, 32, 1 << 16


@dataclass(frozen=True)
class _Layout:
    """How a file writes its directories: byte order, and sizes of a BigTIFF or a TIFF."""

    order: str
    big: bool

    def unpack(self, code: str, content: bytes) -> tuple[Any, ...]:
        return struct.unpack(f"{self.order}{code}", content)

    @property
    def pointer(self) -> str:
        """Code of an offset in the file."""
        return "Q" if self.big else "I"

    @property
    def entry(self) -> str:
        """Code of a directory's entry: tag, type, number of values, values or where they lie."""
        return "HHQ8s" if self.big else "HHI4s"


def read_pages(file: BinaryIO, wanted: frozenset[int]) -> tuple[dict[int, Any], int]:
    """The tags of the first page, and the number of pages.

    Args:
        file: A TIFF or BigTIFF, open for reading.
        wanted: The tags to read, by number.

    Returns:
        For each wanted tag that is there its number, several as a tuple, or its bytes, none of
        them longer than a bound; and how many pages there are, at most 10,000.

    Raises:
        Exception: The file is damaged.
    """
    file.seek(0)
    head = file.read(4)
    layout = _Layout("<" if head[:2] == b"II" else ">", big=b"+" in head)
    file.seek(8 if layout.big else 4)
    first = _read_pointer(file, layout)
    tags, page = _read_page(file, layout, first, wanted)
    seen = {first}
    while page and page not in seen and len(seen) < _MOST_PAGES:
        seen.add(page)
        page = _skip_entries(file, layout, page)[1]
    return tags, len(seen)


def _read_pointer(file: BinaryIO, layout: _Layout) -> int:
    return layout.unpack(layout.pointer, file.read(struct.calcsize(f"<{layout.pointer}")))[0]


def _skip_entries(file: BinaryIO, layout: _Layout, place: int) -> tuple[bytes, int]:
    """The entries of the directory at a place in the file, and where the next one lies.

    Raises:
        ValueError: It has more entries than any program writes.
    """
    file.seek(place)
    code = "Q" if layout.big else "H"
    (count,) = layout.unpack(code, file.read(struct.calcsize(f"<{code}")))
    if count > _MOST_TAGS:
        raise ValueError(f"a directory of it has {count:,} tags")
    entries = file.read(count * struct.calcsize(f"<{layout.entry}"))
    return entries, _read_pointer(file, layout)


def _read_page(
    file: BinaryIO, layout: _Layout, place: int, wanted: frozenset[int]
) -> tuple[dict[int, Any], int]:
    entries, following = _skip_entries(file, layout, place)
    tags: dict[int, Any] = {}
    for tag, kind, count, held in struct.iter_unpack(f"{layout.order}{layout.entry}", entries):
        if tag in wanted and kind in _TYPES:
            tags[tag] = _read_values(file, layout, _TYPES[kind], count, held)
    return tags, following


def _read_values(file: BinaryIO, layout: _Layout, code: str, count: int, held: bytes) -> Any:
    size = struct.calcsize(f"<{code}")
    wanted = min(count, _MOST_BYTES if code == "B" else _MOST_NUMBERS)
    content = held
    if size * count > len(held):
        file.seek(layout.unpack(layout.pointer, held)[0])
        content = file.read(size * wanted)
    if code == "B" and count > 4:
        return content[:wanted]
    values = list(struct.iter_unpack(layout.order + code, content[: size * wanted]))
    plain = tuple(v[0] if len(v) == 1 else v[0] / v[1] if v[1] else 0.0 for v in values)
    return plain[0] if len(plain) == 1 else plain
