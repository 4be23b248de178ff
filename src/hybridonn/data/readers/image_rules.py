"""Rules for the facts of an image file: one table for all files that are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hybridonn.core.errors import DataError
from hybridonn.data.readers.image_facts import TURNED, UPRIGHT, ImageFacts

Use = Literal["picture", "mask", "frame"]
_PLAIN = ("grey", "palette", "rgb")


@dataclass(frozen=True)
class Rule:
    """One thing that a file may say and that is refused.

    Attributes:
        uses: For whom it is refused; for the others it is honoured when the file is decoded.
        broken: Whether the file says so.
        found: What it says, the rest of a sentence about the file.
        cure: What is allowed, and what to do.
    """

    uses: tuple[Use, ...]
    broken: Callable[[ImageFacts], bool]
    found: Callable[[ImageFacts], str]
    cure: str


_ALL: tuple[Use, ...] = ("picture", "mask", "frame")
# Not in the table, because the pixels or another file decide: transparency of images and masks
# (all pixels must be opaque), the orientation of a mask (its image's), the numbers of a mask,
# and colour profiles (images are brought to sRGB; a mask's numbers are no colours).
RULES = (
    Rule(
        _ALL,
        lambda facts: facts.pages != 1,
        lambda facts: f"holds {facts.pages:,} images",
        "it must hold one: save each image as a file of its own",
    ),
    Rule(
        _ALL,
        lambda facts: facts.reduced > 0,
        lambda facts: "holds thumbnails, resolutions or sub-images beside or in place of an image",
        "save the one image that is meant without them",
    ),
    Rule(
        ("picture", "mask"),
        lambda facts: facts.numbers != "unsigned" or facts.bits not in (1, 2, 4, 8, 12, 16),
        lambda facts: f"has {facts.numbers} values of {facts.bits} bits",
        "allowed are unsigned values of 1 to 16 bits: scale them so, and save it again",
    ),
    Rule(
        ("picture",),
        lambda facts: facts.colour not in (*_PLAIN, "CMYK"),
        lambda facts: f"has its values in {facts.colour}",
        "allowed are grey, a palette, red-green-blue and CMYK: convert it",
    ),
    Rule(
        ("mask",),
        lambda facts: facts.colour not in _PLAIN,
        lambda facts: f"has its values in {facts.colour}",
        "a mask has grey values or a palette: convert it",
    ),
    Rule(
        ("frame",),
        lambda facts: facts.colour not in ("grey", "rgb", "raw"),
        lambda facts: f"has its values in {facts.colour}",
        "a frame has grey or red-green-blue values: save it as the camera measured it",
    ),
    Rule(
        ("picture", "mask"),
        lambda facts: facts.colour == "CMYK" and facts.bits != 8,
        lambda facts: f"is CMYK of {facts.bits} bits",
        "convert it to red-green-blue",
    ),
    Rule(
        _ALL,
        lambda facts: facts.extra > 0,
        lambda facts: f"has {facts.extra} more channels than its colours and transparency",
        "save it without them",
    ),
    Rule(
        ("frame",),
        lambda facts: facts.alpha,
        lambda facts: "has a channel of transparency",
        "save it without",
    ),
    Rule(
        ("picture", "mask"),
        lambda facts: facts.alpha and facts.bits == 16,
        lambda facts: "has transparency with values of 16 bits",
        "save it without transparency",
    ),
    Rule(
        ("frame",),
        lambda facts: facts.orientation != UPRIGHT,
        lambda facts: f"says that it is to be shown {TURNED[facts.orientation]}",
        "a frame is taken as the sensor lies: remove the statement and save it so",
    ),
    Rule(
        ("picture",),
        lambda facts: facts.white_is_zero and facts.bits > 8,
        lambda facts: f"says that 0 is white, with {facts.bits} bits",
        "invert it, and save it with 0 for black",
    ),
    Rule(
        ("mask",),
        lambda facts: facts.white_is_zero and facts.bits > 1,
        lambda facts: "says that 0 is white, so its numbers and what it shows are opposite",
        "save it with 0 for black",
    ),
    Rule(
        ("frame",),
        lambda facts: facts.white_is_zero,
        lambda facts: "says that 0 is white",
        "save it with 0 for no light",
    ),
    Rule(
        ("picture", "mask"),
        lambda facts: facts.planar and facts.bits > 8,
        lambda facts: f"has its channels apart, with {facts.bits} bits",
        "save it with the channels of each pixel together",
    ),
    Rule(
        ("mask", "frame"),
        lambda facts: facts.lossy,
        lambda facts: f"is compressed with losses ({facts.format}), which change its numbers",
        "save it from where it was made, without losses",
    ),
    Rule(
        ("picture",),
        lambda facts: bool(facts.curve),
        lambda facts: f"states {facts.curve}",
        "images are read as sRGB: convert it, or remove the statement if it is wrong",
    ),
)


def refuse_facts(facts: ImageFacts, path: Path, use: Use) -> None:
    """Refuse a file that says of itself what its use does not allow.

    Args:
        facts: What it says.
        path: The file, for the message.
        use: What its values are for: a ``picture`` of a data set, its ``mask``, or a
            ``frame`` of a camera.

    Raises:
        DataError: A rule is broken; the first in the table is named.
    """
    for rule in RULES:
        if use in rule.uses and rule.broken(facts):
            raise DataError(f"{path} {rule.found(facts)}; {rule.cure}")


def refuse_frame(path: Path) -> None:
    """Refuse a camera's TIFF or PNG file whose values do not stand for light as they are stored.

    Raises:
        DataError: A rule is broken.
        Exception: The file is missing, damaged or no image.
    """
    from hybridonn.data.readers.image_facts import read_facts

    with path.open("rb") as file:
        refuse_facts(read_facts(file, path)[0], path, "frame")
