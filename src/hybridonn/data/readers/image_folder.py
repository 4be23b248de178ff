"""Folders of images, a class a folder: ``[train/ val/ test/] CLASS/*.png``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from hybridonn.core.errors import DataError
from hybridonn.data.readers.folders import FolderWalk, find_child, find_children
from hybridonn.data.readers.listing import (
    Item,
    Listing,
    divide_pictures,
    drop_repeats,
    find_parts,
    name_of,
)


def list_image_folder(folder: Path) -> Listing:
    """List a folder that holds a folder of images for each class.

    They may lie in ``train/`` and ``val/`` or ``test/``, or both; without these,
    the parts are split off later. A class's images may lie in folders within
    its own. Hidden files and files beside the parts' folders are left alone.

    Raises:
        DataError: The folder cannot be read, or holds fewer than two classes.
    """
    train, validation, test = find_parts(folder)
    return list_class_folders(name_of(folder), folder, [train], validation, test)


def list_imagenet100(folder: Path) -> Listing:
    """List ImageNet-100: a class a folder named by its WordNet number.

    Either ``train/`` and ``val/``, or as the set is often passed on, ``train.X1``
    to ``train.X4``, ``val.X`` and ``Labels.json``, which names the classes. Its
    validation part is the test part: the test labels of ImageNet are secret.

    Raises:
        DataError: The folder or its ``Labels.json`` cannot be read, or holds fewer
            than two classes.
    """
    pieces = find_children(folder, "train.X")
    if pieces:
        test = find_child(folder, ("val.x",))
        listing = list_class_folders("imagenet100", folder, pieces, None, test)
    else:
        train, validation, test = find_parts(folder)
        listing = list_class_folders("imagenet100", folder, [train], validation, test)
    return _rename_classes(listing, folder / "Labels.json")


def list_class_folders(
    name: str, root: Path, train: list[Path], validation: Path | None, test: Path | None
) -> Listing:
    """List the parts of a set, each of which holds a folder of images for each class.

    Args:
        name: What the reports call the set.
        root: The folder that holds it.
        train: Folders of training images.
        validation: The folder of validation images; None: the set has none.
        test: The folder of test images; None: the set has none.

    Raises:
        DataError: A folder cannot be read, or the training images are of fewer than two classes.
    """
    faults: list[str] = []
    others = [part for part in (validation, test) if part is not None]
    walk = FolderWalk((*train, *others), faults)
    found = _list_classes(walk, train)
    classes = tuple(sorted(found))
    if len(classes) < 2:
        held = f"the one class {classes[0]}" if classes else "no folder with images"
        detail = "".join(f"; {fault}" for fault in faults[:3])
        raise DataError(
            f"{' and '.join(map(str, train))} holds {held}; there must be a folder of images "
            f"for each of at least 2 classes{detail}"
        )
    number = {key: index for index, key in enumerate(classes)}
    items = tuple(Item(path, number[key]) for key in classes for path in found[key])
    held = [_list_other(walk, part, number) for part in (validation, test)]
    return drop_repeats(Listing(name, root, classes, items, *held, faults=tuple(faults)))


def _list_classes(walk: FolderWalk, folders: list[Path]) -> dict[str, list[Path]]:
    """The images of each class that has any, by the class's name."""
    found: dict[str, list[Path]] = {}
    faults = walk.faults
    for folder in folders:
        held = walk.list_folder(folder)
        faults += [
            f"{path} lies beside the class folders: it belongs into one of them"
            for path in divide_pictures(held.files, [])
        ]
        for of_class in held.folders:
            pictures = divide_pictures(walk.list_files_below(of_class), faults)
            if pictures:
                found.setdefault(of_class.name, []).extend(pictures)
            else:
                faults.append(f"the class folder {of_class} is empty: it holds no image")
    return found


def _list_other(walk: FolderWalk, folder: Path | None, number: dict[str, int]) -> tuple[Item, ...]:
    if folder is None:
        return ()
    faults = walk.faults
    found = _list_classes(walk, [folder])
    faults += [
        f"{folder} has no images of class {key}, which is among the training images"
        for key in number
        if key not in found
    ]
    for key in sorted(found.keys() - number.keys()):
        faults += [
            f"{path} is of class {key}, which has no training images" for path in found.pop(key)
        ]
    return tuple(Item(path, number[key]) for key in sorted(found) for path in found[key])


def _rename_classes(listing: Listing, path: Path) -> Listing:
    if not path.is_file():
        return listing
    try:
        table = json.loads(path.read_text("utf-8"))
        names = tuple(str(table[key]).split(",")[0] for key in listing.classes)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"{path} does not name every class of {listing.root} "
            f"({type(error).__name__}: {error}); mend it, or take it away"
        ) from None
    # Two classes of ImageNet are called crane: then the folders' names tell them apart.
    told_apart = len(set(names)) == len(names) and all(names)
    return replace(listing, classes=names) if told_apart else listing
