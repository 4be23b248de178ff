"""Retinal OCT scans in the layout of Kermany et al. 2018: ``CLASS/CLASS-PATIENT-N.jpeg``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from hybridonn.core.errors import DataError
from hybridonn.data.readers.folders import find_child, show_path
from hybridonn.data.readers.image_folder import list_class_folders
from hybridonn.data.readers.listing import (
    TEST_NAMES,
    TRAIN_NAMES,
    VALIDATION_NAMES,
    Item,
    Listing,
    name_of,
)

# Class, number of the patient, number of the scan: CNV-6294785-2.
FILE_NAME = re.compile(r"(?P<kind>.+)-(?P<patient>\d+)-(?P<scan>\d+)")


def list_kermany(folder: Path) -> Listing:
    """List scans with a folder for each class and the patient's number in each name.

    They lie in ``train/`` and ``val/`` or ``test/`` or both. A part that has no folder is split
    off by patient; so is everything where one folder alone, or none, is there. A patient with
    images in two parts is a fault, image by image: those of training or validation are left out
    with ``data.skip_bad``, so that what is tested was never seen.

    Raises:
        DataError: The folder cannot be read, or holds ``val/`` and ``test/`` without ``train/``,
            or fewer than two classes.
    """
    train = find_child(folder, TRAIN_NAMES)
    validation, test = find_child(folder, VALIDATION_NAMES), find_child(folder, TEST_NAMES)
    if train is None and validation and test:
        raise DataError(
            f"{folder} holds {validation.name}/ and {test.name}/, and no train/ to learn from; add "
            "it, or name one of the two by data.folder to split it"
        )
    if train is None:
        train, validation, test = validation or test or folder, None, None
    listing = list_class_folders(name_of(folder), folder, [train], validation, test)
    return _drop_leaks(_name_patients(listing))


def _name_patients(listing: Listing) -> Listing:
    """The listing with the patient of each image; images without one become faults."""
    faults: list[str] = []
    parts = {
        name: tuple(_name_patient(getattr(listing, name), listing.classes, faults))
        for name in ("train", "validation", "test")
    }
    return replace(listing, **parts, faults=(*listing.faults, *faults))


def _name_patient(
    items: Iterable[Item], classes: tuple[str, ...], faults: list[str]
) -> Iterable[Item]:
    known = {label.casefold() for label in classes}
    for item in items:
        found, own = FILE_NAME.fullmatch(item.image.stem), classes[item.label]
        kind = found["kind"].casefold() if found else ""
        if found is None:
            faults.append(
                f"{show_path(item.image)} does not say its patient: it must be named "
                f"CLASS-PATIENT-N, as in {own}-6294785-2.jpeg"
            )
        elif kind in known and kind != own.casefold():
            faults.append(
                f"{show_path(item.image)} is named {found['kind']} and lies in {own}/; move or "
                "rename it"
            )
        else:
            yield replace(item, patient=found["patient"].lstrip("0") or "0")


def _drop_leaks(listing: Listing) -> Listing:
    """The listing without images of patients who are in a later part: test, then validation."""
    seen: dict[str, Item] = {}
    kept: dict[str, tuple[Item, ...]] = {}
    faults: list[str] = []
    for name in ("test", "validation", "train"):
        items: tuple[Item, ...] = getattr(listing, name)
        faults += [
            f"{show_path(item.image)} is of patient {item.patient}, who is in another part too "
            f"({show_path(seen[item.patient].image)}): the parts must not share patients"
            for item in items
            if item.patient in seen
        ]
        kept[name] = tuple(item for item in items if item.patient not in seen)
        seen |= {item.patient: item for item in reversed(kept[name])}
    return replace(listing, **kept, faults=(*listing.faults, *faults))
