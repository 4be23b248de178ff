"""What a folder of images holds, found by names alone, before any image is read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from hybridonn.data.readers.boxes import Box
from hybridonn.data.readers.folders import find_child, identify

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
TRAIN_NAMES, VALIDATION_NAMES, TEST_NAMES = (
    ("train", "training"),
    ("val", "valid", "validation"),
    ("test",),
)


@dataclass(frozen=True)
class MaskRule:
    """What the values of a set's masks mean.

    Attributes:
        kind: ``binary``: 0 is background, 255 or 1 is object; ``classes``: each
            value is a class; ``things``: labels of COCO-Stuff, things are objects.
        classes: Number of classes.
    """

    kind: Literal["binary", "classes", "things"]
    classes: int = 2


@dataclass(frozen=True)
class Item:
    """An image and what it is labelled by.

    Attributes:
        image: The image's file.
        label: Its class, where each image has one.
        masks: Files of its mask, the last on top, where each pixel has a class.
        patient: Whom it was taken of; empty: the set does not say.
        boxes: Its objects, where they have boxes.
        drawn_on: Width and height of the image that the boxes were drawn on, in pixels, and where
            that is stated; None: it is not.
    """

    image: Path
    label: int = 0
    masks: tuple[Path, ...] = ()
    patient: str = ""
    boxes: tuple[Box, ...] = ()
    drawn_on: tuple[float, float, str] | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All its files."""
        return (self.image, *self.masks)


@dataclass(frozen=True)
class Listing:
    """A set of images, none of them read yet.

    Attributes:
        name: What the reports call it.
        root: The folder that holds it.
        classes: Names of the classes.
        train: What is split (or only for training, see ``validation`` and ``test``).
        validation: Its own validation part, or nothing.
        test: Its own test part, or nothing.
        faults: What is wrong with the files' names, a sentence each.
        masks: What its masks' values mean; None: it has no masks.
        boxed: Whether its images have boxes.
        remarks: What is suspicious, but not wrong, in its files, a sentence each.
    """

    name: str
    root: Path
    classes: tuple[str, ...]
    train: tuple[Item, ...]
    validation: tuple[Item, ...] = ()
    test: tuple[Item, ...] = ()
    faults: tuple[str, ...] = ()
    masks: MaskRule | None = None
    boxed: bool = False
    remarks: tuple[str, ...] = ()

    @property
    def items(self) -> tuple[Item, ...]:
        """All images: training, validation, test."""
        return (*self.train, *self.validation, *self.test)


def divide_pictures(files: Iterable[Path], faults: list[str]) -> list[Path]:
    """The images among files, by their endings; every other file becomes a fault."""
    pictures = []
    for path in files:
        if path.suffix.lower() in ENDINGS:
            pictures.append(path)
        else:
            faults.append(f"{path} is not an image: its name ends with none of {' '.join(ENDINGS)}")
    return pictures


def find_parts(folder: Path) -> tuple[Path, Path | None, Path | None]:
    """The folders of training, validation and test.

    Without a folder for training, all is in ``folder`` itself. A validation
    folder with no test folder beside it is the test part, as in ImageNet, whose
    own test labels are secret.

    Raises:
        DataError: The folder cannot be read.
    """
    train = find_child(folder, TRAIN_NAMES)
    if train is None:
        return folder, None, None
    validation, test = find_child(folder, VALIDATION_NAMES), find_child(folder, TEST_NAMES)
    return (train, validation, test) if test else (train, None, validation)


def name_of(folder: Path) -> str:
    """What the reports call the set in a folder: the folder's own name."""
    return folder.resolve().name


def drop_repeats(listing: Listing) -> Listing:
    """The listing without images that are one and the same file, by links of either kind.

    Of several with the same label, the first for testing stays, else for validation, else for
    training; of several with different labels or masks, none. An image that is its own mask
    is left out too.

    Returns:
        The same listing with a fault for each image that is left out.

    Raises:
        DataError: A file is not there any more.
    """
    parts = {"test": listing.test, "validation": listing.validation, "train": listing.train}
    places: dict[tuple[int, int], list[tuple[str, Item]]] = {}
    dropped: dict[tuple[str, Path], str] = {}
    for name, items in parts.items():
        for item in items:
            image, *masks = map(identify, item.files)
            places.setdefault(image, []).append((name, item))
            if image in masks:
                dropped[name, item.image] = f"{item.image} and its mask are one file, by a link"
    for same in places.values():
        dropped |= _choose_dropped(same) if len(same) > 1 else {}
    if not dropped:
        return listing
    kept = {
        name: tuple(item for item in items if (name, item.image) not in dropped)
        for name, items in parts.items()
    }
    return replace(listing, **kept, faults=(*listing.faults, *dropped.values()))


def _choose_dropped(same: list[tuple[str, Item]]) -> dict[tuple[str, Path], str]:
    """Which of the images that are one file are left out, and why."""
    (part, first), *others = same
    agree = all(_truth_of(item) == _truth_of(first) for _, item in others)
    ending = "take one of them away" if agree else "and its label or mask is another: mend it"
    dropped = {
        (name, item.image): f"{item.image} (for {name}) is the same file as {first.image} (for "
        f"{part}), by a link; {ending}"
        for name, item in others
    }
    if not agree:
        dropped[part, first.image] = f"{first.image} has two labels or masks, by a link; mend it"
    return dropped


def _truth_of(item: Item) -> tuple[object, ...]:
    """What an image is labelled by; of boxes not the file that states them."""
    boxes = tuple(replace(box, place="") for box in item.boxes)
    return item.label, item.masks, boxes
