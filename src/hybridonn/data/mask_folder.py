"""Folders of pictures and their masks, in pairs, in the layouts of the named sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hybridonn.data.listing import (
    Item,
    Listing,
    MaskRule,
    divide_pictures,
    find_parts,
    list_files,
    list_folders,
    name_of,
)
from hybridonn.errors import DataError

BINARY_CLASSES = ("background", "object")
BINARY = MaskRule("binary")


def list_mask_folder(folder: Path, classes: tuple[str, ...] | None = None) -> Listing:
    """List a folder with ``images/`` and ``masks/``, or ``train/``, ``val/``, ``test/`` of such.

    A picture and its mask have the same name up to the ending, but that the
    mask's may end with ``_mask``.

    Args:
        folder: Where they lie.
        classes: The names of the masks' values 0, 1, 2 ...; None: the masks are
            0 where there is background and 255 or 1 where there is an object.

    Raises:
        DataError: A folder is missing or cannot be read.
    """
    faults: list[str] = []
    train, validation, test = find_parts(folder)
    parts = [
        _pair(part / "images", part / "masks", faults) if part else ()
        for part in (train, validation, test)
    ]
    rule = MaskRule("classes", len(classes)) if classes else BINARY
    return Listing(
        name_of(folder), folder, classes or BINARY_CLASSES, *parts, faults=tuple(faults), masks=rule
    )


def list_carvana(folder: Path) -> Listing:
    """List Carvana: ``train/ID_VIEW.jpg`` and ``train_masks/ID_VIEW_mask.gif``.

    Each car is there in 16 views; the split does not keep a car's views together.

    Raises:
        DataError: A folder is missing or cannot be read.
    """
    faults: list[str] = []
    items = _pair(folder / "train", folder / "train_masks", faults)
    classes = ("background", "car")
    return Listing("carvana", folder, classes, items, faults=tuple(faults), masks=BINARY)


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
        items = _pair(base / "images", base / "masks", faults)
    else:
        items = tuple(item for each in list_folders(base) for item in _list_nuclei(each, faults))
    classes = ("background", "nucleus")
    return Listing("dsb2018", folder, classes, items, faults=tuple(faults), masks=BINARY)


def list_coco_stuff10k(folder: Path) -> Listing:
    """List COCO-Stuff 10k v1.1: ``images/*.jpg``, ``annotations/*.mat``, ``imageLists/*.txt``.

    Things are objects; stuff and what is not labelled are background. The test
    part is the set's own, ``imageLists/test.txt``.

    Raises:
        DataError: A folder or list is missing or cannot be read.
    """
    faults: list[str] = []
    parts = [_list_coco(folder, part, faults) for part in ("train", "test")]
    return Listing(
        "coco_stuff10k",
        folder,
        BINARY_CLASSES,
        train=parts[0],
        test=parts[1],
        faults=tuple(faults),
        masks=MaskRule("things"),
    )


def _pair(images: Path, masks: Path, faults: list[str]) -> tuple[Item, ...]:
    pictures = _by_stem(images, lambda stem: stem, faults)
    drawn = _by_stem(masks, lambda stem: stem.removesuffix("_mask"), faults)
    alone = [
        (pictures[stem] if stem in pictures else drawn[stem], stem in pictures)
        for stem in sorted(pictures.keys() ^ drawn.keys())
    ]
    faults += [
        f"{path} has no mask in {masks}" if is_picture else f"{path} has no picture in {images}"
        for path, is_picture in alone
    ]
    both = sorted(pictures.keys() & drawn.keys())
    return tuple(Item(pictures[stem], masks=(drawn[stem],)) for stem in both)


def _by_stem(folder: Path, key: Callable[[str], str], faults: list[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in divide_pictures(list_files(folder), faults):
        first = found.setdefault(key(path.stem), path)
        if first is not path:
            faults.append(f"{path} has the same name as {first.name}, up to its ending")
    return found


def _list_nuclei(folder: Path, faults: list[str]) -> list[Item]:
    kinds = [folder / "images", folder / "masks"]
    pictures, masks = (
        divide_pictures(list_files(kind), faults) if kind.is_dir() else [] for kind in kinds
    )
    if len(pictures) != 1 or not masks:
        faults.append(
            f"{folder} holds {len(pictures)} pictures in images/ and {len(masks)} masks in masks/; "
            "there must be 1 picture and at least 1 mask"
        )
        return []
    return [Item(pictures[0], masks=tuple(masks))]


def _list_coco(folder: Path, part: str, faults: list[str]) -> tuple[Item, ...]:
    path = folder / "imageLists" / f"{part}.txt"
    try:
        stems = path.read_text("utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}") from None
    items = []
    for stem in stems:
        item = Item(
            folder / "images" / f"{stem}.jpg", masks=(folder / "annotations" / f"{stem}.mat",)
        )
        missing = [file for file in item.files if not file.is_file()]
        faults += [f"{file} is missing, but {path} names it" for file in missing]
        if not missing:
            items.append(item)
    return tuple(items)
