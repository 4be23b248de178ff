"""Boxes in the layout of COCO: one JSON file a part."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hybridonn.core.errors import DataError
from hybridonn.data.readers.box_sets import (
    Annotated,
    NamedBox,
    describe_unstated,
    find_image,
    find_images,
    list_boxes,
    read_name,
    read_numbers,
    read_size,
    refuse_repeats,
)
from hybridonn.data.readers.folders import FolderWalk
from hybridonn.data.readers.listing import (
    TEST_NAMES,
    TRAIN_NAMES,
    VALIDATION_NAMES,
    Listing,
    find_parts,
    name_of,
)

FILES = ("_annotations.coco.json", "annotations.json", "instances.json")


def list_coco(folder: Path, box_classes: tuple[str, ...] | None = None) -> Listing:
    """List images with boxes in COCO's JSON.

    Either as COCO is published, ``annotations/instances_PART.json`` with the images in ``PART/``
    (train2017, val2017), or ``[train/ val/ test/]`` with the images and ``annotations.json`` or
    ``_annotations.coco.json``, the images beside it or in ``images/``. Regions that are marked as
    crowds are left out, and so are categories that no object has, and images that no part lists.

    Args:
        folder: Where they lie.
        box_classes: The classes in order; None: all that there are, by name.

    Raises:
        DataError: A folder or file is missing or cannot be read, or no object is stated.
    """
    faults: list[str] = []
    places = _find_published(folder) or _find_beside(folder)
    walk = FolderWalk(tuple({images for _, images in filter(None, places)}), faults)
    seen = _Seen()
    train, validation, test = (_read_part(walk, *one, seen) if one else [] for one in places)
    remarks = describe_unstated(seen.images, seen.stated)
    if seen.crowds:
        remarks.append(f"{seen.crowds} regions are marked as crowds and left out")
    parts = (train, validation, test)
    return list_boxes(name_of(folder), folder, parts, faults, box_classes, remarks)


@dataclass
class _Seen:
    """What was seen in all parts.

    Attributes:
        images: Image files.
        stated: Those that a part lists.
        crowds: Regions that are marked as crowds.
    """

    images: dict[Path, None] = field(default_factory=dict)  # in order
    stated: set[Path] = field(default_factory=set)
    crowds: int = 0


Place = tuple[Path, Path] | None  # a JSON file and the folder of its images


def _find_published(folder: Path) -> list[Place]:
    files = sorted((folder / "annotations").glob("instances_*.json"))
    places: list[Place] = []
    for names in (TRAIN_NAMES, VALIDATION_NAMES, TEST_NAMES):
        own = [path for path in files if _part_of(path).startswith(names)]
        if len(own) > 1:
            raise DataError(
                f"{folder / 'annotations'} has {own[0].name} and {own[1].name}; a part has one file"
            )
        inner = [base / _part_of(own[0]) for base in (folder, folder / "images")] if own else []
        images = next((path for path in inner if path.is_dir()), folder / "images")
        places.append((own[0], images) if own else None)
    train, validation, test = places
    if train is None:
        return []
    # The test part of COCO is secret: its validation part is what networks are compared on.
    return [train, validation, test] if test else [train, None, validation]


def _part_of(path: Path) -> str:
    return path.stem.removeprefix("instances_")


def _find_beside(folder: Path) -> list[Place]:
    places: list[Place] = []
    for part in find_parts(folder):
        own = [part / name for name in FILES if (part / name).is_file()] if part else []
        if part and not own:
            raise DataError(f"{part} has no annotations: looked for {', '.join(FILES)}")
        inner = part / "images" if part and (part / "images").is_dir() else part
        places.append((own[0], inner) if own and inner else None)
    return places


def _read_part(walk: FolderWalk, path: Path, folder: Path, seen: _Seen) -> list[Annotated]:
    tree, faults = _read_json(path), walk.faults
    files = find_images(walk, folder)
    seen.images |= dict.fromkeys(files.values())
    categories = {
        key: read_name(one.get("name"), f"{path}, category {key},", faults)
        for key, one in _index(tree["categories"], path, "category").items()
    }
    images = _index(tree["images"], path, "image")
    held: dict[Any, list[NamedBox]] = {key: [] for key in images}
    spoilt: set[Any] = set()
    for number, one in enumerate(tree["annotations"], 1):
        place = f"{path}, annotation {one.get('id', number)},"
        key = one.get("image_id")
        crowd = one.get("iscrowd") or 0
        if crowd in (0, 1) and crowd:
            seen.crowds += 1
            continue
        box = _read_annotation(one, place, categories, faults)
        if crowd != 0:
            faults.append(f"{place} has iscrowd {crowd!r}; allowed are 0 and 1")
            box = None
        if not _is_key(key) or key not in held:
            faults.append(f"{place} is of image {key!r}, which is not listed")
        elif box is None:
            spoilt.add(key)
        else:
            held[key].append(box)
    part = []
    for key, one in images.items():
        name = str(one.get("file_name"))
        image = find_image(files, Path(name).name)
        if image is None:
            faults.append(f"{path} names the image {name!r}, which is not in {folder}")
            continue
        seen.stated.add(image)
        if key not in spoilt:
            size = read_size(one.get("width"), one.get("height"), f"{path}, image {key},")
            part.append(Annotated(image, tuple(held[key]), size))
    return refuse_repeats(part, faults)


def _index(rows: list[dict[str, Any]], path: Path, what: str) -> dict[Any, dict[str, Any]]:
    """Rows by their id.

    Raises:
        DataError: An id is neither a number nor a text, or stands twice.
    """
    found: dict[Any, dict[str, Any]] = {}
    for number, one in enumerate(rows, 1):
        key = one.get("id")
        if not _is_key(key):
            raise DataError(f"{path}, {what} {number}, has the id {key}; an id is a whole number")
        if key in found:
            raise DataError(
                f"{path} has the {what} id {key} twice; each {what} needs an id of its own"
            )
        found[key] = one
    return found


def _is_key(value: object) -> bool:
    """Whether a value of JSON can be an id: COCO has whole numbers, some tools write texts."""
    return isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))


def _read_json(path: Path) -> dict[str, list[dict[str, Any]]]:
    try:
        tree = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"cannot read {path}: {error}") from None
    for key in ("images", "annotations", "categories"):
        rows = tree.get(key) if isinstance(tree, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise DataError(
                f"{path} has no list {key!r} of objects; COCO's JSON has images, annotations and "
                "categories"
            )
    return tree


def _read_annotation(
    one: dict[str, Any], place: str, categories: dict[Any, str | None], faults: list[str]
) -> NamedBox | None:
    key = one.get("category_id")
    name = categories.get(key) if _is_key(key) else None
    if name is None:
        faults.append(f"{place} is of category {one.get('category_id')}, which has no name")
        return None
    stated = one.get("bbox")
    values = stated if isinstance(stated, list) and len(stated) == 4 else [stated]
    numbers = read_numbers(values, place, faults)
    if numbers is None or len(numbers) != 4:
        if numbers is not None:
            faults.append(f"{place} has the box {stated}; a box has four numbers")
        return None
    left, top, width, height = numbers
    edges = (left, top, left + width, top + height)
    return NamedBox(name, edges, f"{place[:-1]} ({name})")
