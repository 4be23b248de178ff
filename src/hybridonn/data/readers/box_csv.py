"""Boxes in a CSV file, a row a box, beside a folder of images."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hybridonn.core.errors import DataError
from hybridonn.data.readers.box_sets import (
    Annotated,
    NamedBox,
    Size,
    find_image,
    find_images,
    list_boxes,
    read_name,
    read_numbers,
    read_size,
)
from hybridonn.data.readers.folders import FolderWalk
from hybridonn.data.readers.listing import Listing, find_parts, name_of

FILES = ("boxes.csv", "boxes.csv.gz")
IMAGE, CLASS = ("image", "image_id", "filename"), ("class", "label", "name")
BY_EDGES, BY_SIZE = ("xmin", "ymin", "xmax", "ymax"), ("x", "y", "width", "height")
ONLY_CLASS = "object"
LEAST_STEM = 12  # characters by which the start of an id names an image for certain

FindImage = Callable[[dict[str, Path], str], Path | None]


def list_box_csv(folder: Path, box_classes: tuple[str, ...] | None = None) -> Listing:
    """List ``images/`` and ``boxes.csv``, or ``train/``, ``val/``, ``test/`` with such.

    The columns are ``image`` (also ``image_id``, ``filename``), ``class`` (also ``label``,
    ``name``; without it all are of one class), and either ``xmin, ymin, xmax, ymax`` or
    ``x, y, width, height`` in pixels. An image that no row names, or a row that is empty behind the
    name, has no box. Beside edges, ``width`` and ``height`` are the size of the image.

    Args:
        folder: Where they lie.
        box_classes: The classes in order; None: all that there are, by name.

    Raises:
        DataError: A folder or file is missing or cannot be read, or no object is stated.
    """
    faults: list[str] = []
    parts = find_parts(folder)
    there = tuple(part / "images" for part in parts if part)
    walk = FolderWalk(there, faults)
    train, validation, test = (_read_part(walk, part, find_image) if part else [] for part in parts)
    return list_boxes(name_of(folder), folder, (train, validation, test), faults, box_classes)


def list_dsb2018_boxes(folder: Path) -> Listing:
    """List the 2018 Data Science Bowl (BBBC038) as ``images/`` and ``boxes.csv``, a row a nucleus.

    An image may be called by the start of its id.

    Raises:
        DataError: A folder or file is missing or cannot be read.
    """
    faults: list[str] = []
    part = _read_part(FolderWalk((folder / "images",), faults), folder, _find_by_start, "nucleus")
    return list_boxes("dsb2018_boxes", folder, (part, [], []), faults, None)


def _find_by_start(images: dict[str, Path], name: str) -> Path | None:
    whole = find_image(images, name)
    if whole is not None:
        return whole
    starts = [name[:length] for length in range(LEAST_STEM, len(name))]
    return next((path for start in starts if (path := images.get(f"{start}.png"))), None)


def _read_part(
    walk: FolderWalk, folder: Path, find: FindImage, only: str = ONLY_CLASS
) -> list[Annotated]:
    path = next((folder / name for name in FILES if (folder / name).is_file()), None)
    if path is None:
        raise DataError(f"{folder} has no boxes: looked for {' and '.join(FILES)}")
    images = find_images(walk, folder / "images")
    held: dict[Path, list[NamedBox]] = {image: [] for image in images.values()}
    sizes: dict[Path, Size] = {}
    spoilt: set[Path] = set()
    strange: dict[str, str] = {}
    known: dict[str, Path | None] = {}
    for line, row in enumerate(_read_rows(path), 2):
        place = f"{path}, line {line},"
        name = next(row[key] for key in IMAGE if key in row)
        if name not in known:
            known[name] = find(images, Path(name or "").name)
        image = known[name]
        if image is None:
            strange.setdefault(
                name, f"{place} is of image {name!r}, which is not in {folder}/images"
            )
        if image is None or _is_empty(row):
            continue  # the row of an image without boxes is empty behind its name
        box = _read_row(row, place, only, walk.faults)
        if box is None:
            spoilt.add(image)
            continue
        held[image].append(box)
        size = _read_image_size(row, box, place)
        if size and sizes.setdefault(image, size)[:2] != size[:2]:
            walk.faults.append(f"{place} states another size of image {name} than a line above")
            spoilt.add(image)
    walk.faults.extend(strange.values())
    return [
        Annotated(image, tuple(boxes), sizes.get(image))
        for image, boxes in held.items()
        if image not in spoilt
    ]


def _is_empty(row: Mapping[str | None, Any]) -> bool:
    return not any(str(text or "").strip() for key, text in row.items() if key not in IMAGE)


def _read_image_size(row: Mapping[str | None, Any], box: NamedBox, place: str) -> Size | None:
    """The size of the image that a row states beside edges; None: it states none.

    The columns ``width`` and ``height`` are of the image where the edges are stated, as
    TensorFlow's tables have it, unless they are those of the box.
    """
    if not set(BY_EDGES) <= set(row) or set(BY_SIZE[:2]) & set(row):
        return None
    size = read_size(row.get("width"), row.get("height"), place[:-1])
    left, top, right, bottom = box.edges
    of_box = size and max(abs(right - left - size[0]), abs(bottom - top - size[1])) <= 1
    return None if of_box else size


def _read_rows(path: Path) -> list[dict[str | None, Any]]:
    """The rows of a CSV file that has the columns of boxes.

    Raises:
        DataError: It cannot be read, or a column is missing.
    """
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text), strict=True, skipinitialspace=True)
        header = list(reader.fieldnames or ())
        rows: list[dict[str | None, Any]] = list(reader)  # cells in excess are under None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read {path}: {error}") from None
    if twice := next((name for name in header if header.count(name) > 1), None):
        raise DataError(f"{path} has the column {twice} twice; a column has a name of its own")
    sides = any(set(columns) <= set(header) for columns in (BY_EDGES, BY_SIZE))
    if not sides or not set(IMAGE) & set(header):
        raise DataError(
            f"{path} has the columns {', '.join(header) or 'of nothing'}; needed are "
            f"{' or '.join(IMAGE)}, and {', '.join(BY_EDGES)} or {', '.join(BY_SIZE)}"
        )
    return rows


def _read_row(
    row: Mapping[str | None, Any], place: str, only: str, faults: list[str]
) -> NamedBox | None:
    if None in row:
        faults.append(f"{place} has {len(row[None])} more cells than there are columns")
        return None
    column = next((key for key in CLASS if key in row), None)
    name = only if column is None else read_name(row[column], place, faults)
    by_edges = set(BY_EDGES) <= set(row)
    columns = BY_EDGES if by_edges else BY_SIZE
    numbers = read_numbers([row[key] for key in columns], place, faults)
    if name is None or numbers is None:
        return None
    left, top, third, fourth = numbers
    right, bottom = (third, fourth) if by_edges else (left + third, top + fourth)
    return NamedBox(name, (left, top, right, bottom), f"{place[:-1]} ({name})")
