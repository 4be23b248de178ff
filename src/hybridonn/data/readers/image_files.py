"""One image or mask: read, checked, brought to its size."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hybridonn.core.errors import DataError
from hybridonn.data.readers.colour_profiles import find_transform, to_srgb
from hybridonn.data.readers.image_decoding import (
    DEEP_BITS,
    OpenImage,
    decode_deep,
    guard,
    open_image,
    refuse_transparency,
    turn_upright,
)
from hybridonn.data.readers.image_facts import TURNED, ImageFacts, shown_size
from hybridonn.data.readers.listing import Item, MaskRule
from hybridonn.data.readers.masks import read_mask_file

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Shape:
    """Facts of an image file, read before it is decoded.

    Attributes:
        height: Pixels, as it is shown.
        width: Likewise.
        grey: One channel.
        deep: 16 bits a channel, of which a camera may have filled fewer.
        turned: How the file says that it is to be shown, in words; empty: upright.
    """

    height: int
    width: int
    grey: bool
    deep: bool = False
    turned: str = ""

    def __str__(self) -> str:
        depth = ", 16 bits" if self.deep else ""
        return f"{self.height} x {self.width} pixels, {'grey' if self.grey else 'in colour'}{depth}"


def describe_sizes(sizes: Collection[tuple[int, int]]) -> str:
    """How many sizes there are, and their range: "3 sizes, from 4 x 5 to 7 x 9 pixels"."""
    if len(sizes) == 1:
        return "{} x {} pixels".format(*next(iter(sizes)))
    heights, widths = zip(*sizes, strict=True)
    least, most = f"{min(heights)} x {min(widths)}", f"{max(heights)} x {max(widths)}"
    return f"{len(sizes):,} sizes, from {least} to {most} pixels"


@dataclass(frozen=True)
class Target:
    """Size and colour to which every image of a set is brought.

    Attributes:
        height: Pixels.
        width: Pixels.
        grey: One channel in place of three.
        resize: ``crop``: fill the target and cut what is over; ``pad``: fit in and
            leave the rest black, in masks class 0; ``stretch``: change the shape.
        bit_depth: Bits of the largest value in files of 16 bits.
    """

    height: int
    width: int
    grey: bool
    resize: str = "crop"
    bit_depth: int = 16

    @property
    def channels(self) -> int:
        """1 or 3."""
        return 1 if self.grey else 3


def read_shape(path: Path) -> Shape:
    """Size and depth of an image.

    Raises:
        DataError: The file is no image, or says something of itself that is not allowed.
    """

    def load() -> Shape:
        with open_image(path, "picture") as opened:
            return shape_of(opened.facts)

    return guard(path, load)


def shape_of(facts: ImageFacts) -> Shape:
    """Size and depth by what a file says of itself."""
    grey = facts.colour == "grey"
    deep = facts.bits == 16 and not facts.scaled
    return Shape(facts.height, facts.width, grey, deep, TURNED.get(facts.orientation, ""))


def read_picture(path: Path, target: Target) -> np.ndarray:
    """An image as (C, H, W) uint8 of the target's size.

    It is turned as its file says, and its colours are brought to sRGB where it carries
    another profile. Of deeper values the upper 8 bits are kept; grey from colours is BT.601
    luma. Interpolation is bilinear, with the wider kernel that keeps a smaller image free
    of aliasing.

    Raises:
        DataError: The file is damaged, transparent, or says something of itself that is not
            allowed.
    """

    def load() -> np.ndarray:
        mode = "L" if target.grey else "RGB"
        with open_image(path, "picture") as opened:
            deep = opened.facts.bits > DEEP_BITS
            image = _reduce(opened, target.bit_depth) if deep else _decode(opened, target)
            fitted = resize(image.convert(mode), target, smooth=True)
        array = np.asarray(fitted)
        return array[None] if target.grey else array.transpose(2, 0, 1)

    return guard(path, load)


def read_mask(item: Item, rule: MaskRule, target: Target) -> np.ndarray:
    """An image's mask as (H, W) uint8 classes of the target's size, by the nearest pixel.

    Raises:
        DataError: A file is damaged, differs in size or orientation from its image, or
            holds a value that means nothing.
    """
    from PIL import Image

    def look() -> ImageFacts:
        with open_image(item.image, "picture") as opened:
            return opened.facts

    facts = guard(item.image, look)
    size = (facts.height, facts.width)
    mask = np.zeros(size, dtype=np.uint8)
    for path in item.masks:
        drawn, orientation = read_mask_file(path, rule)
        _compare_orientation(item.image, facts.orientation, path, orientation)
        if drawn.shape != size:
            raise DataError(
                f"{path} is {drawn.shape[0]} x {drawn.shape[1]} pixels, but its image "
                f"{item.image.name} is {size[0]} x {size[1]}"
            )
        mask = np.where(drawn > 0, drawn, mask)
    return np.asarray(resize(Image.fromarray(mask), target, smooth=False))


def read_used_bits(path: Path) -> int:
    """All bits that are set in any value of an image of 16 bits.

    Raises:
        DataError: The file is damaged.
    """

    def load() -> int:
        with open_image(path, "picture") as opened:
            return int(np.bitwise_or.reduce(decode_deep(opened), None))

    return guard(path, load)


def resize(image: Image, target: Target, *, smooth: bool) -> Image:
    """Bring an image to the target's height and width.

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
        # Rounding may put an edge 1e-14 pixels outside, which Pillow refuses.
        right, bottom = min(left + kept[0], image.width), min(top + kept[1], image.height)
        return image.resize((wide, high), method, (max(left, 0), max(top, 0), right, bottom))
    scale = min(across, down)
    inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    padded = Pillow.new(image.mode, (wide, high))
    padded.paste(image.resize(inner, method), ((wide - inner[0]) // 2, (high - inner[1]) // 2))
    return padded


def _compare_orientation(image: Path, picture: int, path: Path, mask: int) -> None:
    if picture == mask:
        return
    said = [TURNED.get(each, "upright") for each in (picture, mask)]
    raise DataError(
        f"{image} says that it is to be shown {said[0]}, and its mask {path} {said[1]}, so one "
        "would be turned against the other; save both upright, without a statement of orientation"
    )


def _decode(opened: OpenImage, target: Target) -> Image:
    """The image upright in sRGB, at no less than the target's size."""
    image = opened.open()
    carried = bool(image.info.get("icc_profile"))
    high, wide = shown_size(target.height, target.width, opened.facts.orientation)
    # A large JPEG is decoded at 1/2, 1/4 or 1/8 where that is still large enough.
    image.draft("L" if target.grey and not carried else "RGB", (wide, high))
    image.load()
    if opened.facts.alpha:
        refuse_transparency(image, opened.path)
    if image.mode in ("La", "RGBa"):
        image = image.convert(image.mode.upper())
    return turn_upright(to_srgb(image) if carried else image, opened.facts)


def _reduce(opened: OpenImage, bit_depth: int) -> Image:
    """The upper 8 of the used bits.

    Raises:
        DataError: The image carries a colour profile of other colours than sRGB's.
    """
    from PIL import Image as Pillow

    profile = opened.open().info.get("icc_profile")
    if profile and find_transform(profile)[1] is not None:
        raise DataError(
            f"{opened.path} has a colour profile of its own with values of 16 bits; convert it to "
            "sRGB, or remove the profile if its values are the light's"
        )
    facts = opened.facts
    bits = bit_depth if shape_of(facts).deep else facts.bits
    values = decode_deep(opened)
    return Pillow.fromarray((values >> (bits - DEEP_BITS)).astype(np.uint8))
