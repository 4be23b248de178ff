"""Folders of images and their masks, in pairs, in the layouts of the named sets."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from hybridonn.core.errors import DataError
from hybridonn.data.readers.folders import FolderWalk, find_unprintable
from hybridonn.data.readers.listing import (
    Item,
    Listing,
    MaskRule,
    divide_pictures,
    drop_repeats,
    find_parts,
    name_of,
)

BINARY_CLASSES = ("background", "object")
BINARY = MaskRule("binary")
MAX_NAME_BYTES = 250  # of file systems 255, with an ending of 5


def list_mask_folder(folder: Path, mask_classes: tuple[str, ...] | None = None) -> Listing:
    """List a folder with ``images/`` and ``masks/``, or ``train/``, ``val/``, ``test/`` of such.

    An image and its mask have the same name up to the ending, but that the
    mask's may end with ``_mask``.

    Args:
        folder: Where they lie.
        mask_classes: The names of the masks' values 0, 1, 2 ...; None: the masks are
            0 where there is background and 255 or 1 where there is an object.

    Raises:
        DataError: A folder is missing or cannot be read.
    """
    faults: list[str] = []
    train, validation, test = find_parts(folder)
    there = [part for part in (train, validation, test) if part]
    walk = FolderWalk(tuple(part / kind for part in there for kind in ("images", "masks")), faults)
    parts = [
        _pair(walk, part / "images", part / "masks") if part else ()
        for part in (train, validation, test)
    ]
    rule = MaskRule("classes", len(mask_classes)) if mask_classes else BINARY
    return drop_repeats(
        Listing(
            name_of(folder),
            folder,
            mask_classes or BINARY_CLASSES,
            *parts,
            faults=tuple(faults),
            masks=rule,
        )
    )


def list_carvana(folder: Path) -> Listing:
    """List Carvana: ``train/ID_VIEW.jpg`` and ``train_masks/ID_VIEW_mask.gif``.

    Each car is there in 16 views; the split does not keep a car's views together.

    Raises:
        DataError: A folder is missing or cannot be read.
    """
    faults: list[str] = []
    images, masks = folder / "train", folder / "train_masks"
    items = _pair(FolderWalk((images, masks), faults), images, masks)
    classes = ("background", "car")
    return drop_repeats(
        Listing("carvana", folder, classes, items, faults=tuple(faults), masks=BINARY)
    )


def list_dsb2018(folder: Path) -> Listing:
    """List the 2018 Data Science Bowl, stage 1 (BBBC038).

    As it is published, ``[stage1_train/]ID/images/ID.png`` and a mask a nucleus,
    ``ID/masks/*.png``, which become one; or as ``images/`` and ``masks/``.

    Raises:
        DataError: A folder cannot be read.
    """
    faults: list[str] = []
    inner = folder / "stage1_train"
    base = inner if inner.is_dir() else folder
    if (base / "images").is_dir():
        images, masks = base / "images", base / "masks"
        items = _pair(FolderWalk((images, masks), faults), images, masks)
    else:
        walk = FolderWalk((base,), faults)
        folders = walk.list_folder(base).folders
        items = tuple(item for each in folders for item in _list_nuclei(walk, each))
    classes = ("background", "nucleus")
    return drop_repeats(
        Listing("dsb2018", folder, classes, items, faults=tuple(faults), masks=BINARY)
    )


def list_coco_stuff10k(folder: Path) -> Listing:
    """List COCO-Stuff 10k v1.1: ``images/*.jpg``, ``annotations/*.mat``, ``imageLists/*.txt``.

    Things are objects; stuff and what is not labelled are background. The test
    part is the set's own, ``imageLists/test.txt``.

    Raises:
        DataError: A folder or list is missing or cannot be read.
    """
    faults: list[str] = []
    parts = [_list_coco(folder, part, faults) for part in ("train", "test")]
    return drop_repeats(
        Listing(
            "coco_stuff10k",
            folder,
            BINARY_CLASSES,
            train=parts[0],
            test=parts[1],
            faults=tuple(faults),
            masks=MaskRule("things"),
        )
    )


def _pair(walk: FolderWalk, images: Path, masks: Path) -> tuple[Item, ...]:
    pictures = _by_stem(walk, images, lambda stem: stem)
    drawn = _by_stem(walk, masks, lambda stem: stem.removesuffix("_mask"))
    alone = [
        (pictures[stem] if stem in pictures else drawn[stem], stem in pictures)
        for stem in sorted(pictures.keys() ^ drawn.keys())
    ]
    walk.faults += [
        f"{path} has no mask in {masks}" if is_picture else f"{path} has no image in {images}"
        for path, is_picture in alone
    ]
    both = sorted(pictures.keys() & drawn.keys())
    return tuple(Item(pictures[stem], masks=(drawn[stem],)) for stem in both)


def _by_stem(walk: FolderWalk, folder: Path, key: Callable[[str], str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in divide_pictures(walk.list_folder(folder).files, walk.faults):
        first = found.setdefault(key(path.stem), path)
        if first is not path:
            walk.faults.append(f"{path} has the same name as {first.name}, up to its ending")
    return found


def _list_nuclei(walk: FolderWalk, folder: Path) -> list[Item]:
    inner = {path.name: path for path in walk.list_folder(folder).folders}
    pictures, masks = (
        divide_pictures(walk.list_folder(inner[kind]).files, walk.faults) if kind in inner else []
        for kind in ("images", "masks")
    )
    if len(pictures) != 1 or not masks:
        walk.faults.append(
            f"{folder} holds {len(pictures)} images in images/ and {len(masks)} masks in masks/; "
            "there must be 1 image and at least 1 mask"
        )
        return []
    return [Item(pictures[0], masks=tuple(masks))]


def _list_coco(folder: Path, part: str, faults: list[str]) -> tuple[Item, ...]:
    path = folder / "imageLists" / f"{part}.txt"
    items = []
    for stem in _read_list(path):
        if not _is_name(stem):
            faults.append(
                f"{path} names {stem[:80]!r}, which is no name of an image: allowed are names of "
                "files in the folder images, without the ending"
            )
            continue
        item = Item(
            folder / "images" / f"{stem}.jpg", masks=(folder / "annotations" / f"{stem}.mat",)
        )
        missing = [file for file in item.files if not Path(file).is_file()]
        faults += [f"{file} is missing, but {path} names it" for file in missing]
        if not missing:
            items.append(item)
    return tuple(items)


def _is_name(stem: str) -> bool:
    """Whether a text is a file's name alone, no path, of a length that file systems hold."""
    plain = PurePosixPath(stem).name == stem != ".." and "\\" not in stem
    return plain and len(stem.encode()) <= MAX_NAME_BYTES and not find_unprintable(stem)


def _read_list(path: Path) -> list[str]:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # to read a pipe would never end
            raise DataError(f"{path} is no file; it is the list of a part's images")
        return path.read_text("utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}") from None
