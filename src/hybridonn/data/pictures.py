"""One picture or mask: read, checked, brought to its size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from hybridonn.data.listing import Item, MaskRule
from hybridonn.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")

GREY_MODES = ("1", "L", "LA", "I;16", "I;16L", "I;16B", "I")
COLOUR_MODES = ("RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr")
THINGS = (1, 91)  # of COCO-Stuff: 1 to 91 are things, 92 to 182 stuff, 0 is not labelled


@dataclass(frozen=True)
class Shape:
    """What a picture's file says of it, before it is decoded."""

    height: int
    width: int
    grey: bool

    def __str__(self) -> str:
        return f"{self.height} x {self.width} pixels, {'grey' if self.grey else 'in colour'}"


@dataclass(frozen=True)
class Target:
    """What every picture of a set becomes.

    Attributes:
        height: Pixels.
        width: Pixels.
        grey: One channel in place of three.
        resize: ``crop``: fill the target and cut what is over; ``pad``: fit in and
            leave the rest black, in masks class 0; ``stretch``: change the shape.
    """

    height: int
    width: int
    grey: bool
    resize: str = "crop"

    @property
    def channels(self) -> int:
        """1 or 3."""
        return 1 if self.grey else 3


def read_shape(path: Path) -> Shape:
    """Size and depth of a picture.

    Raises:
        DataError: The file is no picture, or of a depth that is not read.
    """

    def load() -> Shape:
        from PIL import Image

        with Image.open(path) as image:
            return _shape_of(image, path)

    return _guard(path, load)


def read_picture(path: Path, target: Target) -> np.ndarray:
    """A picture as (C, H, W) uint8 of the target's size.

    Of 16 bits, the upper 8 are kept; transparency is dropped; grey from colours
    is BT.601 luma. Interpolation is bilinear, with the wider kernel that keeps a
    smaller picture free of aliasing. EXIF rotation is not applied: masks have none.

    Raises:
        DataError: The file is damaged.
    """

    def load() -> np.ndarray:
        from PIL import Image

        mode = "L" if target.grey else "RGB"
        with Image.open(path) as image:
            _shape_of(image, path)
            # A large JPEG is decoded at 1/2, 1/4 or 1/8 where that is still large enough.
            image.draft(mode, (target.width, target.height))
            fitted = resize(_to_eight_bits(image).convert(mode), target, smooth=True)
        array = np.asarray(fitted)
        return array[None] if target.grey else array.transpose(2, 0, 1)

    return _guard(path, load)


def read_mask(item: Item, rule: MaskRule, target: Target) -> np.ndarray:
    """A picture's mask as (H, W) uint8 classes of the target's size, by the nearest pixel.

    Raises:
        DataError: A file is damaged, differs in size from its picture, or holds a
            value that means nothing.
    """
    from PIL import Image

    shape = read_shape(item.image)
    size = (shape.height, shape.width)
    mask = np.zeros(size, dtype=np.uint8)
    for path in item.masks:
        drawn = _guard(path, lambda path=path: READERS[rule.kind](path, rule.classes))
        if drawn.shape != size:
            raise DataError(
                f"{path} is {drawn.shape[0]} x {drawn.shape[1]} pixels, but its picture "
                f"{item.image.name} is {shape.height} x {shape.width}"
            )
        mask = np.where(drawn > 0, drawn, mask)
    return np.asarray(resize(Image.fromarray(mask), target, smooth=False))


def resize(image: Image, target: Target, *, smooth: bool) -> Image:
    """Bring a picture to the target's height and width.

    Args:
        image: 8 bits a channel.
        target: What it becomes.
        smooth: Bilinear; else the nearest pixel.
    """
    from PIL import Image as Pillow

    wide, high = target.width, target.height
    if image.size == (wide, high):
        return image
    method = Pillow.Resampling.BILINEAR if smooth else Pillow.Resampling.NEAREST
    if target.resize == "stretch":
        return image.resize((wide, high), method)
    across, down = wide / image.width, high / image.height
    if target.resize == "crop":
        kept = (wide / max(across, down), high / max(across, down))
        left, top = (image.width - kept[0]) / 2, (image.height - kept[1]) / 2
        return image.resize((wide, high), method, (left, top, left + kept[0], top + kept[1]))
    scale = min(across, down)
    inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    padded = Pillow.new(image.mode, (wide, high))
    padded.paste(image.resize(inner, method), ((wide - inner[0]) // 2, (high - inner[1]) // 2))
    return padded


def _guard(path: Path, load: Callable[[], T]) -> T:
    try:
        return load()
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path} is missing") from None
    except Exception as error:  # every format has its own error for a damaged file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path} is damaged or no picture: {reason}") from None


def _shape_of(image: Image, path: Path) -> Shape:
    if image.mode not in GREY_MODES + COLOUR_MODES:
        raise DataError(
            f"{path} has values of mode {image.mode}; pictures have 1, 8 or 16 bits a channel"
        )
    if getattr(image, "n_frames", 1) != 1:
        raise DataError(f"{path} holds {getattr(image, 'n_frames', 1)} pictures; it must hold one")
    return Shape(image.height, image.width, image.mode in GREY_MODES)


def _to_eight_bits(image: Image) -> Image:
    from PIL import Image as Pillow

    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise DataError(f"values from {values.min()} to {values.max()} are more than 16 bits hold")
    return Pillow.fromarray((values >> 8).astype(np.uint8))


def _read_binary(path: Path, classes: int) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as image:
        stored = np.asarray(image) if image.mode in ("1", "L", "P") else None
        grey = np.asarray(image.convert("L"))
    # A palette mask may be black and white, or its indices may be the values.
    for values in (grey, stored):
        if values is not None and (_holds_only(values, 0, 255) or _holds_only(values, 0, 1)):
            return (values > 0).astype(np.uint8)
    raise DataError(
        f"{path} holds the values {_show_values(grey)}; a mask holds 0 for background and 255 (or "
        "1) for the object; for more classes, name them in data.mask_classes"
    )


def _read_classes(path: Path, classes: int) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as image:
        if image.mode not in ("1", "L", "P"):
            raise DataError(
                f"{path} has values of mode {image.mode}; a mask of classes has 8 bits a pixel, "
                "grey or with a palette, whose values are the classes"
            )
        values = np.asarray(image).astype(np.uint8)
    if values.max() >= classes:
        raise DataError(
            f"{path} holds the values {_show_values(values)}; with {classes} names in "
            f"data.mask_classes, 0 to {classes - 1} are allowed"
        )
    return values


def _read_things(path: Path, classes: int) -> np.ndarray:
    from scipy.io import loadmat

    content: dict[str, Any] = loadmat(str(path), variable_names=["S"])
    if "S" not in content or content["S"].ndim != 2:
        raise DataError(f"{path} holds no label map S of two dimensions")
    labels = content["S"]
    if labels.min() < 0 or labels.max() > 182:
        raise DataError(
            f"{path} holds labels from {labels.min()} to {labels.max()}; COCO-Stuff has 0 to 182"
        )
    return ((labels >= THINGS[0]) & (labels <= THINGS[1])).astype(np.uint8)


READERS: Mapping[str, Callable[[Path, int], np.ndarray]] = MappingProxyType(
    {"binary": _read_binary, "classes": _read_classes, "things": _read_things}
)


def _holds_only(values: np.ndarray, low: int, high: int) -> bool:
    return bool(((values == low) | (values == high)).all())


def _show_values(values: np.ndarray) -> str:
    found = np.unique(values)
    shown = ", ".join(map(str, found[:6]))
    return shown if len(found) <= 6 else f"{shown} ... ({len(found)} values)"
