"""The files of masks: read as numbers, and what these mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from hybridonn.core.errors import DataError
from hybridonn.data.readers.image_decoding import (
    DEEP_BITS,
    OpenImage,
    decode_deep,
    guard,
    open_image,
    refuse_transparency,
    turn_upright,
)
from hybridonn.data.readers.image_facts import UPRIGHT
from hybridonn.data.readers.listing import MaskRule
from hybridonn.data.readers.matlab import read_label_map

THINGS = (1, 91)  # of COCO-Stuff: 1 to 91 are things, 92 to 182 stuff, 0 is not labelled
WHITES = (255, 1, 65535)  # what stands for an object beside 0 for background


def read_mask_file(path: Path, rule: MaskRule) -> tuple[np.ndarray, int]:
    """The classes in a file of a mask, (H, W) uint8, upright, and the orientation that it states.

    Raises:
        DataError: It is damaged, says something of itself that is not allowed, or holds a
            value that means nothing.
    """
    return guard(path, lambda: READERS[rule.kind](path, rule.classes))


def _read_binary(path: Path, classes: int) -> tuple[np.ndarray, int]:
    with open_image(path, "mask") as opened:
        numbers, palette = _read_numbers(opened)
        orientation = opened.facts.orientation
    if palette is not None:
        numbers = _read_palette(numbers, palette, path)
    if not any(_holds_only(numbers, white) for white in WHITES):
        raise DataError(
            f"{path} holds the values {_show_values(numbers)}; a mask holds 0 for background and "
            "255 (or 1) for the object; for more classes, name them in data.mask_classes"
        )
    return (numbers > 0).astype(np.uint8), orientation


def _read_classes(path: Path, classes: int) -> tuple[np.ndarray, int]:
    with open_image(path, "mask") as opened:
        facts = opened.facts
        if facts.colour == "rgb" or facts.scaled:
            raise DataError(
                f"{path} has {'colours' if facts.colour == 'rgb' else 'scaled values'}; a mask of "
                "classes has 8 or 16 bits a pixel, grey or with a palette, whose values are the "
                "classes"
            )
        numbers, palette = _read_numbers(opened)
    if numbers.max() >= classes:
        raise DataError(
            f"{path} holds the values {_show_values(numbers)}; with {classes} names in "
            f"data.mask_classes, 0 to {classes - 1} are allowed"
        )
    if palette is not None:
        _refuse_two_readings(numbers, palette, classes, path)
    return numbers.astype(np.uint8), facts.orientation


def _read_things(path: Path, classes: int) -> tuple[np.ndarray, int]:
    labels = read_label_map(path, "S")
    if labels.min() < 0 or labels.max() > 182:
        raise DataError(
            f"{path} holds labels from {labels.min()} to {labels.max()}; COCO-Stuff has 0 to 182"
        )
    return ((labels >= THINGS[0]) & (labels <= THINGS[1])).astype(np.uint8), UPRIGHT


READERS: Mapping[str, Callable[[Path, int], tuple[np.ndarray, int]]] = MappingProxyType(
    {"binary": _read_binary, "classes": _read_classes, "things": _read_things}
)


def _read_numbers(opened: OpenImage) -> tuple[np.ndarray, np.ndarray | None]:
    """The mask's numbers as they are stored, (H, W), upright, and its palette (n, 3) if any.

    Raises:
        DataError: It is transparent, or its colours are not grey.
    """
    if opened.facts.bits > DEEP_BITS:
        numbers, palette = decode_deep(opened), None
    else:
        image = opened.open()
        image.load()
        if opened.facts.alpha:
            refuse_transparency(image, opened.path)
        image = turn_upright(image, opened.facts)
        palette = None
        if image.mode in ("P", "PA"):
            palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
        numbers = np.asarray(image)
        if image.mode in ("LA", "La", "PA"):
            numbers = numbers[..., 0]
    if numbers.ndim == 3:
        numbers = _grey_of(numbers[..., :3], opened.path)
    return (numbers.astype(np.uint8) if numbers.dtype == bool else numbers), palette


def _grey_of(colours: np.ndarray, path: Path) -> np.ndarray:
    grey = colours[..., 0]
    if (colours != grey[..., None]).any():
        row, column = np.argwhere((colours != grey[..., None]).any(-1))[0].tolist()
        raise DataError(
            f"{path} holds colours that are not grey, such as {colours[row, column].tolist()} in "
            f"row {row}, column {column}; a mask holds one number a pixel: save the channel that "
            "holds it as grey"
        )
    return grey


def _read_palette(indices: np.ndarray, palette: np.ndarray, path: Path) -> np.ndarray:
    """What a binary mask with a palette holds.

    Its colours if these are black and white, or 0 and 1; else its indices.

    Raises:
        DataError: Its palette shows an index and another, or 0, alike.
    """
    used = np.union1d(np.unique(indices), [0])
    shown = np.zeros((256, 3), np.uint8)
    shown[: len(palette)] = palette
    if len(np.unique(shown[used], axis=0)) < len(used):
        raise DataError(
            f"{path} has a palette that shows several of its indices {_show_values(used)} in one "
            "colour, so its colours and its numbers say different things; save it as grey, with 0 "
            "for background and 255 for the object"
        )
    colours = shown[indices]
    grey = colours[..., 0]
    is_grey = bool((colours == grey[..., None]).all())
    return grey if is_grey and any(_holds_only(grey, white) for white in WHITES) else indices


def _refuse_two_readings(
    indices: np.ndarray, palette: np.ndarray, classes: int, path: Path
) -> None:
    """Refuse a palette of greys that are class numbers themselves, but others than its indices.

    Programs that make files smaller turn a grey mask into such a one.

    Raises:
        DataError: The palette is such a one.
    """
    used = np.unique(indices)
    if used.max() >= len(palette) or (palette != palette[:, :1]).any():
        return
    greys = palette[used, 0]
    if (greys != used).any() and greys.max() < classes:
        raise DataError(
            f"{path} has a palette whose greys {_show_values(greys)} stand for the indices "
            f"{_show_values(used)}, and both could be classes; save it as grey without a palette"
        )


def _holds_only(values: np.ndarray, white: int) -> bool:
    return bool(((values == 0) | (values == white)).all())


def _show_values(values: np.ndarray) -> str:
    found = np.unique(values)
    shown = ", ".join(map(str, found[:6]))
    return shown if len(found) <= 6 else f"{shown} ... ({len(found)} values)"
