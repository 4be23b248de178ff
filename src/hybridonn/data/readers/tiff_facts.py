"""Facts of a TIFF file, read from its tags (TIFF Revision 6.0, Adobe 1992)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from enum import IntEnum
from os import SEEK_END
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

from hybridonn.data.readers.image_facts import (
    ORIENTATION_TAG,
    UPRIGHT,
    ImageFacts,
    check_pixels,
    shown_size,
)
from hybridonn.data.readers.png_facts import differs_from_srgb
from hybridonn.data.readers.tiff_tags import read_pages

TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class Tag(IntEnum):
    """The tags that are read, by their numbers."""

    KIND = 254
    OLD_KIND = 255
    WIDTH = 256
    HEIGHT = 257
    BITS = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    DESCRIPTION = 270
    ORIENTATION = ORIENTATION_TAG
    SAMPLES = 277
    STRIP_BYTES = 279
    PLANAR = 284
    CURVE = 301
    WHITE = 318
    PRIMARIES = 319
    TILE_WIDTH = 322
    TILE_HEIGHT = 323
    TILE_BYTES = 325
    SUB_IMAGES = 330
    EXTRA = 338
    FORMAT = 339
    XMP = 700


COLOURS = MappingProxyType(
    {0: "grey", 1: "grey", 2: "rgb", 3: "palette", 4: "a mask", 5: "CMYK", 6: "YCbCr", 8: "CIELAB"}
    | {32803: "raw"}  # behind a colour filter
)
CHANNELS = MappingProxyType({"grey": 1, "raw": 1, "palette": 1, "CMYK": 4})
NUMBERS = MappingProxyType({1: "unsigned", 2: "signed", 3: "float"})
_JPEG = 7
# JPEG and its heirs, which may lose bits: JPEG 2000, XR and XL, WebP.
_LOSSY = (6, 7, 22610, 33003, 33005, 34712, 34892, 34927, 34934, 50001, 50002, 52546)
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


def read_tiff_facts(file: BinaryIO, path: Path) -> ImageFacts:
    """Facts of the first image of a TIFF file, and how many others it holds.

    Raises:
        DataError: A tile has too many pixels.
        ValueError: A tag that must be there is not, or the pixels would lie beyond the file's end.
    """
    tags, pages = read_pages(file, frozenset(Tag))
    missing = [tag for tag in (Tag.WIDTH, Tag.HEIGHT, Tag.PHOTOMETRIC) if tag not in tags]
    if missing:
        raise ValueError(f"it lacks the TIFF tags {', '.join(tag.name for tag in missing)}")
    _check_length(file, tags)
    colour = _name_colour(tags)
    extra = _tuple(tags.get(Tag.EXTRA, ()))
    beside = tags.get(Tag.SAMPLES, 1) - CHANNELS.get(colour, 3)
    alpha = sum(kind in (1, 2) for kind in extra) + (beside == 1 and not extra)
    check_pixels(tags.get(Tag.TILE_HEIGHT, 1), tags.get(Tag.TILE_WIDTH, 1), f"a tile of {path}")
    orientation = _orientation(tags)
    height, width = shown_size(tags[Tag.HEIGHT], tags[Tag.WIDTH], orientation)
    return ImageFacts(
        format="TIFF",
        height=height,
        width=width,
        colour=colour,
        bits=max(_tuple(tags.get(Tag.BITS, 1))),
        numbers=_name_numbers(tags),
        pages=max(pages, _hidden_pages(tags)),
        reduced=_count_reduced(tags),
        orientation=orientation,
        alpha=alpha > 0,
        extra=max(beside - alpha, 0),
        white_is_zero=tags[Tag.PHOTOMETRIC] == 0,
        planar=tags.get(Tag.PLANAR) == 2 and tags.get(Tag.SAMPLES, 1) > 1,
        lossy=tags.get(Tag.COMPRESSION) in _LOSSY,
        scaled=colour == "grey" and max(_tuple(tags.get(Tag.BITS, 1))) in (2, 4),
        curve=_describe_curve(tags),
    )


def _check_length(file: BinaryIO, tags: Mapping[int, Any]) -> None:
    """Refuse strips and tiles that claim more bytes than the file has: decoders take their word.

    Raises:
        ValueError: They do.
    """
    claimed = max(sum(_tuple(tags.get(tag, 0))) for tag in (Tag.STRIP_BYTES, Tag.TILE_BYTES))
    size = file.seek(0, SEEK_END)
    if claimed > size:
        raise ValueError(f"its pixels claim {claimed:,} bytes, and the file has {size:,}")


def _name_colour(tags: Mapping[int, Any]) -> str:
    stated = tags[Tag.PHOTOMETRIC]
    colour = COLOURS.get(stated, f"photometric interpretation {stated}")
    # Of JPEG, the decoder itself makes red, green and blue.
    return "rgb" if colour == "YCbCr" and tags.get(Tag.COMPRESSION) == _JPEG else colour


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else b""


def _tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _orientation(tags: Mapping[int, Any]) -> int:
    stated = tags.get(Tag.ORIENTATION)
    if stated is None:
        found = _XMP_ORIENTATION.search(_bytes(tags.get(Tag.XMP, b"")))
        stated = int(found[1]) if found else UPRIGHT
    return stated or UPRIGHT


def _name_numbers(tags: Mapping[int, Any]) -> str:
    kinds = set(_tuple(tags.get(Tag.FORMAT, 1)))
    return NUMBERS.get(kinds.pop(), "unknown") if len(kinds) == 1 else "mixed"


def _hidden_pages(tags: Mapping[int, Any]) -> int:
    """Pages that ImageJ and tifffile append to the only page that the tags tell of."""
    text = _bytes(tags.get(Tag.DESCRIPTION, b"")).rstrip(b"\0").decode("latin1")
    if text.startswith("ImageJ=") and (found := re.search(r"^images=(\d{1,9})\s*$", text, re.M)):
        return int(found[1])
    if text.startswith('{"shape":'):
        try:
            size = tags[Tag.HEIGHT] * tags[Tag.WIDTH] * tags.get(Tag.SAMPLES, 1)
            return math.prod(json.loads(text)["shape"]) // size
        except (ValueError, KeyError, TypeError, ZeroDivisionError, RecursionError):
            return 1
    return 1


def _count_reduced(tags: Mapping[int, Any]) -> int:
    within = tags.get(Tag.SUB_IMAGES, ())
    itself = tags.get(Tag.KIND, 0) != 0 or tags.get(Tag.OLD_KIND, 1) != 1
    return len(_tuple(within)) + itself


def _describe_curve(tags: Mapping[int, Any]) -> str:
    if Tag.CURVE in tags:
        return "a transfer function of its own (TIFF tag 301)"
    if Tag.WHITE in tags and Tag.PRIMARIES in tags:
        primaries = [float(value) for tag in (Tag.WHITE, Tag.PRIMARIES) for value in tags[tag]]
        if len(primaries) == 8 and differs_from_srgb(primaries):
            return f"primaries of their own ({', '.join(f'{value:g}' for value in primaries)})"
    return ""
