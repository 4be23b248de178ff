"""The pixels of an image file, upright and with the values that it stores or shows."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import numpy as np

from hybridonn.core.errors import DataError
from hybridonn.data.readers.image_facts import ImageFacts, check_pixels, read_facts
from hybridonn.data.readers.image_rules import Use, refuse_facts

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")

DEEP_BITS = 8  # more are decoded as numbers of 16 bits
# Pillow keeps 8 of a colour's 16 bits. Of big-endian values read as little-endian it keeps the
# other 8: N is the machine's own order.
_OTHER_ORDER = MappingProxyType(
    {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
)


@dataclass(frozen=True)
class OpenImage:
    """An image file, opened and allowed for its use.

    Attributes:
        path: The file's name.
        file: The open file.
        facts: What it says of itself.
        first: The image, where it is open already.
    """

    path: Path
    file: BinaryIO
    facts: ImageFacts
    first: Image | None

    def open(self) -> Image:
        """The image, its pixels not decoded yet."""
        from PIL import Image as Pillow

        if self.first is not None:
            return self.first
        kind = self.facts.format
        self.file.seek(0)
        return Pillow.open(self.file, formats=(kind,))


def guard(path: Path, load: Callable[[], T]) -> T:
    """Result of a function for an image file, with every failure as a sentence.

    Raises:
        DataError: The file is missing, damaged, or refused.
    """
    try:
        return load()
    except DataError as error:
        named = str(path) in str(error)
        raise DataError(str(error) if named else f"{path}: {error}") from None
    except FileNotFoundError:
        raise DataError(f"{path} is missing") from None
    except MemoryError:
        raise DataError(f"{path} needs more memory than there is; make it smaller") from None
    except Exception as error:  # every format has its own error for a damaged file
        reason = " ".join(str(error).split()) or type(error).__name__
        if type(error).__name__ == "UnidentifiedImageError":  # its text names no file
            reason = "its format, or the kind of its values, is not read"
        raise DataError(f"{path} is damaged or no image: {reason}") from None


@contextmanager
def open_image(path: Path, use: Use) -> Iterator[OpenImage]:
    """Open an image file and refuse what is not allowed for its use.

    Raises:
        DataError: A rule is broken, or there are more pixels than are decoded.
    """
    with path.open("rb") as file:
        facts, image = read_facts(file, path)
        check_pixels(facts.height, facts.width, str(path))
        refuse_facts(facts, path, use)
        yield OpenImage(path, file, facts, image)


def turn_upright(image: Image, facts: ImageFacts) -> Image:
    """The image as its orientation says that it is shown."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    # Pillow turns a TIFF itself when it decodes it.
    if facts.format == "TIFF" or facts.orientation not in turns:
        return image
    return image.transpose(turns[facts.orientation])


def refuse_transparency(image: Image, path: Path) -> None:
    """Refuse pixels that are transparent: what lies behind them is not known.

    Raises:
        DataError: There are such pixels.
    """
    if image.mode in ("RGBA", "LA", "La", "PA"):
        alpha = image.getchannel(image.mode[-1])
    elif "transparency" in image.info:
        alpha = image.convert("RGBA").getchannel("A")
    else:
        return
    if alpha.getextrema() != (255, 255):
        clear = int((np.asarray(alpha) < 255).sum())
        raise DataError(
            f"{path} is transparent in {clear:,} of its {image.width * image.height:,} pixels, "
            "which show what is behind; save it without transparency, on the background that is "
            "meant"
        )


def decode_deep(opened: OpenImage) -> np.ndarray:
    """The numbers of an image of more than 8 bits: (H, W) or (H, W, 3) uint16, upright.

    Raises:
        Exception: The file is damaged.
    """
    image = opened.open()
    if opened.facts.colour == "grey":
        return np.asarray(turn_upright(image, opened.facts)).astype(np.uint16)
    other: Any = opened.open()
    other.tile = [tile._replace(args=_other_order(tile.args)) for tile in other.tile]
    high, low = (np.asarray(turn_upright(each, opened.facts)) for each in (image, other))
    return (high.astype(np.uint16) << 8) | low


def _other_order(args: Any) -> Any:
    raw, *others = (args,) if isinstance(args, str) else args
    swapped = f"{raw[:-1]}{_OTHER_ORDER[raw[-1]]}"
    return swapped if isinstance(args, str) else (swapped, *others)
