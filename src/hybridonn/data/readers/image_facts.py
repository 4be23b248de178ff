"""Facts of an image file, read from its header before its pixels are decoded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO

from hybridonn.core.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Exif, Image

# Pillow's names of the formats that are read beside PNG and TIFF: of others, some decoders
# start other programs.
OTHER_FORMATS = ("JPEG", "GIF", "BMP", "PPM", "WEBP")
# Pillow's own limit: of the pixels in 256 MiB of three bytes each.
MAX_PIXELS = 89_478_485
UPRIGHT = 1  # EXIF 2.32, tag 274: row 0 is the top, column 0 the left
ORIENTATION_TAG = 274
TURNED = MappingProxyType(
    {
        2: "mirrored",
        3: "turned by 180 degrees",
        4: "upside down and mirrored",
        5: "mirrored along its diagonal",
        6: "turned by 90 degrees clockwise",
        7: "mirrored along its other diagonal",
        8: "turned by 90 degrees anticlockwise",
    }
)
_GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "F")
_COLOURS = MappingProxyType({"P": "palette", "PA": "palette", "RGB": "rgb", "RGBA": "rgb"})


@dataclass(frozen=True)
class ImageFacts:
    """Facts of an image file from its header.

    Attributes:
        format: Pillow's name of the file's format.
        height: Pixels, of the image as it is shown.
        width: Likewise.
        colour: ``grey``, ``palette``, ``rgb``, ``CMYK``, ``raw`` or another colour space by name.
        bits: Bits of a channel's values in the file.
        numbers: ``unsigned``, ``signed`` or ``float``.
        pages: Images in the file.
        reduced: Other images in the file: thumbnails, masks, resolutions.
        orientation: How it is to be turned, by EXIF's number; 1: not at all.
        alpha: Pixels may be transparent.
        extra: Further channels without a stated meaning.
        white_is_zero: The smallest number is white.
        planar: Each channel lies apart.
        lossy: Values are not exactly those that were saved.
        scaled: Decoding multiplies the stored numbers, as of 2 and 4 bits.
        curve: What else changes its values or colours; empty: nothing does.
    """

    format: str
    height: int
    width: int
    colour: str
    bits: int = 8
    numbers: str = "unsigned"
    pages: int = 1
    reduced: int = 0
    orientation: int = UPRIGHT
    alpha: bool = False
    extra: int = 0
    white_is_zero: bool = False
    planar: bool = False
    lossy: bool = False
    scaled: bool = False
    curve: str = ""


def read_facts(file: BinaryIO, path: Path) -> tuple[ImageFacts, Image | None]:
    """Read the facts of the image in an open file; the pixels are not decoded.

    Args:
        file: The file, open for reading.
        path: Its name, for messages.

    Returns:
        What it says, and the image as Pillow opened it; None: it was not needed.

    Raises:
        DataError: Its orientation is none.
        Exception: The file is damaged or no image.
    """
    from hybridonn.data.readers.png_facts import read_png_facts
    from hybridonn.data.readers.tiff_facts import TIFF_STARTS, read_tiff_facts

    start = file.read(8)
    file.seek(0)
    image = None
    if start == b"\x89PNG\r\n\x1a\n":
        facts = read_png_facts(file, path)
    elif start[:4] in TIFF_STARTS:
        facts = read_tiff_facts(file, path)
    else:
        image = _open_other(file, path)
        facts = _describe(image, file)
    if facts.orientation != UPRIGHT and facts.orientation not in TURNED:
        raise DataError(
            f"{path} states the orientation {facts.orientation}; EXIF has 1 to 8: "
            "turn the image as it should be, and save it without"
        )
    return facts, image


def check_pixels(height: int, width: int, what: str) -> None:
    """Refuse images that would take too much memory, before they are decoded.

    Raises:
        DataError: There are more than ``MAX_PIXELS`` pixels, or none.
    """
    if not (height > 0 and width > 0):
        raise DataError(f"{what} has {height} x {width} pixels; an image has at least one")
    if height * width > MAX_PIXELS:
        raise DataError(
            f"{what} has {height:,} x {width:,} pixels, which take "
            f"{3 * height * width / 1e9:,.1f} GB; at most {MAX_PIXELS:,} pixels are decoded: "
            "make it smaller, or cut it into tiles"
        )


def orientation_of(exif: Exif) -> int:
    """How an image is to be turned, by EXIF's number; 0 is written where it is not known."""
    return exif.get(ORIENTATION_TAG) or UPRIGHT


def shown_size(height: int, width: int, orientation: int) -> tuple[int, int]:
    """Height and width once the image is turned."""
    return (width, height) if orientation >= 5 else (height, width)


def _open_other(file: BinaryIO, path: Path) -> Image:
    from PIL import Image as Pillow

    try:
        return Pillow.open(file, formats=OTHER_FORMATS)
    except Pillow.DecompressionBombError as error:  # before Pillow tells the size
        raise DataError(
            f"{path} has too many pixels ({error}); at most {MAX_PIXELS:,} are decoded: make it "
            "smaller, or cut it into tiles"
        ) from None


def _describe(image: Image, file: BinaryIO) -> ImageFacts:
    kind, mode = str(image.format), image.mode
    orientation = orientation_of(image.getexif())
    height, width = shown_size(image.height, image.width, orientation)
    limit = _largest_value(image)
    return ImageFacts(
        format=kind,
        height=height,
        width=width,
        colour="grey" if mode in _GREY_MODES else _COLOURS.get(mode, mode),
        bits=1 if mode == "1" else 16 if mode.startswith("I") else 8,
        numbers="float" if mode == "F" else "unsigned",
        pages=getattr(image, "n_frames", 1),
        orientation=orientation,
        alpha=mode.endswith(("A", "a")) or "transparency" in image.info,
        lossy=kind in ("JPEG", "MPO") or (kind == "WEBP" and _is_lossy_webp(file)),
        scaled=limit not in (None, 255, 65535),
    )


def _largest_value(image: Any) -> int | None:
    """The value that a netpbm file calls white; None: another format, or none is stated."""
    args: Any = image.tile[0].args if image.format == "PPM" and image.tile else None
    return args[1] if isinstance(args, tuple) and len(args) == 2 else None


def _is_lossy_webp(file: BinaryIO) -> bool:
    # RIFF: a kind of four letters, a size, and as many bytes, made even (Google's "WebP Container
    # Specification"); "VP8 " is lossy, "VP8L" is not.
    file.seek(12)
    while len(head := file.read(8)) == 8:
        if head[:4] in (b"VP8 ", b"VP8L"):
            return head[:4] == b"VP8 "
        size = int.from_bytes(head[4:], "little")
        file.seek(size + size % 2, 1)
    return True
