"""Boxes in the layout of Pascal VOC: an XML file an image."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

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
)
from hybridonn.data.readers.folders import FolderWalk
from hybridonn.data.readers.listing import Listing, name_of

EDGES = ("xmin", "ymin", "xmax", "ymax")
_FLAG = re.compile(r"\s+(-1|0|1)$")  # follows a name in the list of a class
LARGEST_BYTES = 2**24  # of an annotation; one of a thousand objects has 300 kB


def list_bccd(folder: Path) -> Listing:
    """List BCCD, blood cells in three classes, in the layout of Pascal VOC.

    Raises:
        DataError: See :func:`list_voc`.
    """
    return list_voc(folder)


def list_voc(folder: Path, box_classes: tuple[str, ...] | None = None) -> Listing:
    """List ``Annotations/*.xml`` and ``JPEGImages/``, in parts by ``ImageSets/Main/*.txt``.

    The parts are ``train``, ``val`` and ``test``, or ``trainval`` where there is no ``train``;
    without these lists all images are split later. Edges are taken as they stand, in pixels from
    the upper left corner, as LabelImg and most tools write them; where they count pixels from 1, as
    in Pascal VOC itself, left and upper edges lie one pixel too far right and down. Objects marked
    as difficult count as all others. Images without an annotation are left out and counted.

    Args:
        folder: Where they lie.
        box_classes: The classes in order; None: all that there are, by name.

    Raises:
        DataError: A folder or a list is missing or cannot be read, or no object is stated.
    """
    faults: list[str] = []
    walk = FolderWalk((folder / "Annotations", folder / "JPEGImages"), faults)
    files: dict[str, Path] = {}
    for path in walk.list_folder(folder / "Annotations").files:
        if path.suffix.lower() == ".xml" and files.setdefault(path.stem, path) != path:
            faults.append(f"{path} and {files[path.stem].name} are of one image; take one away")
    images = find_images(walk, folder / "JPEGImages")
    train, validation, test = _read_parts(folder / "ImageSets" / "Main", list(files), faults)
    taken: set[str] = set()
    parts = []
    for stems in (test, validation, train):
        once = [stem for stem in dict.fromkeys(stems) if stem not in taken]
        faults += [f"{stem} is in two parts of {folder}" for stem in stems if stem in taken]
        taken.update(once)
        found = (_read_annotation(stem, files, images, folder, faults) for stem in once)
        parts.append([one for one in found if one is not None])
    stated = {one.image for part in parts for one in part}
    stated |= {image for stem in files if (image := find_image(images, stem))}
    remarks = describe_unstated(images.values(), stated)
    ordered = (parts[2], parts[1], parts[0])
    return list_boxes(name_of(folder), folder, ordered, faults, box_classes, remarks)


def _read_parts(folder: Path, stems: list[str], faults: list[str]) -> list[list[str]]:
    """Names of the images of training, validation and test."""
    lists = {
        name: _read_list(folder / f"{name}.txt")
        for name in ("train", "val", "test", "trainval")
        if (folder / f"{name}.txt").is_file()
    }
    train = lists.get("train") or lists.get("trainval")
    if not train:
        return [stems, [], []]
    known = {stem for names in lists.values() for stem in names}
    faults += [
        f"Annotations/{stem}.xml is in no list of {folder}" for stem in stems if stem not in known
    ]
    return [train, lists.get("val", []) if "train" in lists else [], lists.get("test", [])]


def _read_list(path: Path) -> list[str]:
    try:
        lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
        return [_FLAG.sub("", line) for line in lines if line]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}") from None


def _read_annotation(
    stem: str, files: dict[str, Path], images: dict[str, Path], folder: Path, faults: list[str]
) -> Annotated | None:
    """An image with its objects; None, and a fault: it cannot be read."""
    path = files.get(stem)
    if path is None:
        faults.append(f"{folder / 'Annotations' / stem}.xml is missing, but a list names it")
        return None
    before = len(faults)
    root = _parse(path, faults)
    if root is None:
        return None
    if root.tag != "annotation":
        faults.append(f"{path} begins with <{root.tag}>; Pascal VOC's files with <annotation>")
        return None
    stated = (root.findtext("filename") or "").strip()
    image = find_image(images, stem) or find_image(images, stated)
    if image is None:
        faults.append(f"{path} has no image {stem} in {folder / 'JPEGImages'}")
        return None
    objects = [_read_object(node, f"{path}, object {k},", faults) for k, node in _number(root)]
    if len(faults) > before:
        return None
    size = read_size(root.findtext("size/width"), root.findtext("size/height"), str(path))
    return Annotated(image, tuple(one for one in objects if one is not None), size)


def _parse(path: Path, faults: list[str]) -> ElementTree.Element | None:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            faults.append(f"{path} has more than {LARGEST_BYTES >> 20} MiB; it is no annotation")
            return None
        return ElementTree.fromstring(path.read_bytes())
    except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:
        faults.append(f"{path} is damaged or no XML: {error}")
        return None


def _number(root: ElementTree.Element) -> enumerate[ElementTree.Element]:
    return enumerate(root.findall("object"), 1)


def _read_object(node: ElementTree.Element, place: str, faults: list[str]) -> NamedBox | None:
    name = read_name(node.findtext("name"), place, faults)
    texts = [node.findtext(f"bndbox/{edge}") for edge in EDGES]
    edges = read_numbers(texts, place, faults)
    if name is None or edges is None:
        return None
    left, top, right, bottom = edges
    return NamedBox(name, (left, top, right, bottom), f"{place[:-1]} ({name})")
