"""What a folder of pictures holds, found by names alone, before any picture is read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hybridonn.errors import DataError

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
TRAIN_NAMES, VALIDATION_NAMES, TEST_NAMES = ("train", "training"), ("val", "validation"), ("test",)


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
    """A picture and what it is labelled by.

    Attributes:
        image: The picture's file.
        label: Its class, where each image has one.
        masks: Files of its mask, the last on top, where each pixel has a class.
    """

    image: Path
    label: int = 0
    masks: tuple[Path, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """All its files."""
        return (self.image, *self.masks)


@dataclass(frozen=True)
class Listing:
    """A set of pictures, none of them read yet.

    Attributes:
        name: What the reports call it.
        root: The folder that holds it.
        classes: Names of the classes.
        train: What is split (or only for training, see ``validation`` and ``test``).
        validation: Its own validation part, or nothing.
        test: Its own test part, or nothing.
        faults: What is wrong with the files' names, a sentence each.
        masks: What its masks' values mean; None: it has classes, not masks.
    """

    name: str
    root: Path
    classes: tuple[str, ...]
    train: tuple[Item, ...]
    validation: tuple[Item, ...] = ()
    test: tuple[Item, ...] = ()
    faults: tuple[str, ...] = ()
    masks: MaskRule | None = None

    @property
    def items(self) -> tuple[Item, ...]:
        """All pictures: training, validation, test."""
        return (*self.train, *self.validation, *self.test)


def list_folders(folder: Path) -> list[Path]:
    """The folders in a folder, sorted by name, hidden ones left out.

    Raises:
        DataError: The folder cannot be read.
    """
    return [path for path in _list(folder) if path.is_dir()]


def list_files(folder: Path) -> list[Path]:
    """The files in a folder, sorted by name, hidden ones left out.

    Raises:
        DataError: The folder cannot be read.
    """
    return [path for path in _list(folder) if path.is_file()]


def divide_pictures(files: Iterable[Path], faults: list[str]) -> list[Path]:
    """The pictures among files, by their endings; every other file becomes a fault."""
    pictures = []
    for path in files:
        if path.suffix.lower() in ENDINGS:
            pictures.append(path)
        else:
            faults.append(
                f"{path} is not a picture: its name ends with none of {' '.join(ENDINGS)}"
            )
    return pictures


def find_part(folder: Path, names: tuple[str, ...]) -> Path | None:
    """The first of the named folders that is there, whatever the case of its name."""
    by_name = {path.name.lower(): path for path in list_folders(folder)}
    return next((by_name[name] for name in names if name in by_name), None)


def find_parts(folder: Path) -> tuple[Path, Path | None, Path | None]:
    """The folders of training, validation and test.

    Without a folder for training, all is in ``folder`` itself. A validation
    folder with no test folder beside it is the test part, as in ImageNet, whose
    own test labels are secret.

    Raises:
        DataError: The folder cannot be read.
    """
    train = find_part(folder, TRAIN_NAMES)
    if train is None:
        return folder, None, None
    validation, test = find_part(folder, VALIDATION_NAMES), find_part(folder, TEST_NAMES)
    return (train, validation, test) if test else (train, None, validation)


def name_of(folder: Path) -> str:
    """What the reports call the set in a folder: the folder's own name."""
    return folder.resolve().name


def _list(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"cannot read the folder {folder}: {error.strerror or error}") from None
