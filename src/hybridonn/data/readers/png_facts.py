"""Facts of a PNG file, read from its chunks (PNG specification, third edition, W3C 2025)."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

from hybridonn.data.readers.image_facts import (
    UPRIGHT,
    ImageFacts,
    check_pixels,
    orientation_of,
    shown_size,
)

COLOURS = MappingProxyType({0: "grey", 2: "rgb", 3: "palette", 4: "grey", 6: "rgb"})
_WITH_ALPHA = (4, 6)
_KEPT_BYTES = 64  # of a chunk: whole header, gamma and primaries, the name of a text
_TEXTS = (b"iTXt", b"zTXt", b"tEXt")
# Names of the texts that may say how an image is to be turned.
_TURNING = (b"XML:com.adobe.xmp", b"Raw profile type")

SRGB_GAMMA = 1 / 2.2
GAMMA_TOLERANCE = 0.02  # 0.45 and 0.4545 are both written for 1/2.2
# White, red, green and blue of sRGB: IEC 61966-2-1, x and y in turn.
SRGB_PRIMARIES = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
PRIMARIES_TOLERANCE = 0.01
_SRGB_CODE_POINTS = b"\x01\x0d\x00\x01"  # of cICP, ITU-T H.273: BT.709, sRGB, RGB, full range


def read_png_facts(file: BinaryIO, path: Path) -> ImageFacts:
    """Facts of a PNG file.

    Raises:
        DataError: It has too many pixels.
        ValueError: It has no header, or a chunk goes beyond its end.
    """
    chunks = _read_chunks(file)
    header = chunks.get(b"IHDR", [b""])[0]
    if len(header) != 13 or header[9] not in COLOURS:
        raise ValueError("it has no header")
    width, height, bits, kind = struct.unpack(">IIBB", header[:10])
    orientation = UPRIGHT
    if _may_be_turned(chunks):
        check_pixels(height, width, str(path))
        orientation = _read_orientation(file)
    height, width = shown_size(height, width, orientation)
    return ImageFacts(
        format="PNG",
        height=height,
        width=width,
        colour=COLOURS[kind],
        bits=bits,
        pages=_count_frames(chunks),
        orientation=orientation,
        alpha=kind in _WITH_ALPHA or b"tRNS" in chunks,
        scaled=COLOURS[kind] == "grey" and bits in (2, 4),
        curve=_describe_curve(chunks, COLOURS[kind]),
    )


def differs_from_srgb(primaries: Iterable[float]) -> bool:
    """Whether primaries (white, red, green, blue) are others than those of sRGB."""
    pairs = zip(primaries, SRGB_PRIMARIES, strict=True)
    return any(abs(found - srgb) > PRIMARIES_TOLERANCE for found, srgb in pairs)


def _read_chunks(file: BinaryIO) -> dict[bytes, list[bytes]]:
    """The first bytes of all chunks, by their kinds in the order of the first of each kind.

    Raises:
        ValueError: A chunk states more bytes than follow; a reader would take memory for them.
    """
    chunks: dict[bytes, list[bytes]] = {}
    end = file.seek(0, io.SEEK_END)
    file.seek(8)
    while len(head := file.read(8)) == 8:
        size, kind = int.from_bytes(head[:4], "big"), head[4:]
        if size > end - file.tell():
            raise ValueError(
                f"its chunk {kind.decode('latin1')!r} states {size:,} bytes, and "
                f"{end - file.tell():,} follow"
            )
        kept = file.read(min(size, _KEPT_BYTES))
        if kind == b"IEND":
            break
        chunks.setdefault(kind, []).append(kept)
        file.seek(size - len(kept) + 4, 1)
    return chunks


def _count_frames(chunks: dict[bytes, list[bytes]]) -> int:
    control = chunks.get(b"acTL", [b""])[0]
    if len(control) < 4:
        return 1
    kinds = list(chunks)
    # A first frame control after the pixels: these are an image beside the frames.
    apart = kinds.index(b"fcTL") > kinds.index(b"IDAT") if {b"fcTL", b"IDAT"} <= set(kinds) else 0
    return int.from_bytes(control[:4], "big") + apart


def _may_be_turned(chunks: dict[bytes, list[bytes]]) -> bool:
    texts = (text for kind in _TEXTS for text in chunks.get(kind, ()))
    return b"eXIf" in chunks or any(text.startswith(_TURNING) for text in texts)


def _read_orientation(file: BinaryIO) -> int:
    from PIL import Image

    file.seek(0)
    # What states it may lie behind the pixels: Pillow decodes them all.
    return orientation_of(Image.open(file, formats=("PNG",)).getexif())


def _describe_curve(chunks: dict[bytes, list[bytes]], colour: str) -> str:
    # By rank: cICP before iCCP before sRGB before gAMA and cHRM (section 4.3).
    if b"cICP" in chunks:
        points = chunks[b"cICP"][0]
        return "" if points == _SRGB_CODE_POINTS else f"colours by code points {points.hex(' ')}"
    if b"iCCP" in chunks or b"sRGB" in chunks:
        return ""  # the profile itself is honoured when the pixels are decoded
    gamma = int.from_bytes(chunks.get(b"gAMA", [b""])[0][:4], "big") / 1e5
    if gamma and abs(gamma - SRGB_GAMMA) > GAMMA_TOLERANCE:
        return f"a gamma of {gamma:g}"
    stated = chunks.get(b"cHRM", [b""])[0]
    if colour != "grey" and len(stated) == 32:
        primaries = [value / 1e5 for value in struct.unpack(">8I", stated)]
        if differs_from_srgb(primaries):
            return f"primaries of their own ({', '.join(f'{value:g}' for value in primaries)})"
    return ""
