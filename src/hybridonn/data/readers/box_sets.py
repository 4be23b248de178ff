"""From what annotation files state to a listing: classes by name, parts, faults."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hybridonn.core.errors import DataError
from hybridonn.data.readers.boxes import Box
from hybridonn.data.readers.folders import FolderWalk, find_unprintable
from hybridonn.data.readers.listing import Item, Listing, divide_pictures, drop_repeats


@dataclass(frozen=True)
class NamedBox:
    """An object of an image, its class by name.

    Attributes:
        name: Name of its class.
        edges: Left, top, right and bottom in pixels of the stored image.
        place: The file and the object in it, for messages.
    """

    name: str
    edges: tuple[float, float, float, float]
    place: str


Size = tuple[float, float, str]


@dataclass(frozen=True)
class Annotated:
    """An image file and the objects that are stated of it.

    Attributes:
        image: The image's file.
        boxes: Its objects.
        size: Width and height of the image that the boxes were drawn on, in pixels, and where
            that is stated; None: it is not.
    """

    image: Path
    boxes: tuple[NamedBox, ...]
    size: Size | None = None


Part = Sequence[Annotated]


def list_boxes(
    name: str,
    root: Path,
    parts: tuple[Part, Part, Part],
    faults: Sequence[str],
    stated: tuple[str, ...] | None,
    remarks: Sequence[str] = (),
) -> Listing:
    """The listing of images with boxes.

    Args:
        name: What the reports call the set.
        root: The folder that holds it.
        parts: Training, validation and test.
        faults: What is wrong with the files, a sentence each.
        stated: The classes by ``data.box_classes``, in order; None: all that the training part
            names, by name.
        remarks: What is suspicious, but not wrong, a sentence each.

    Raises:
        DataError: No object is stated, or a stated class is named by no file.
    """
    named = {box.name for one in parts[0] for box in one.boxes}
    if not named:
        detail = "".join(f"; {said}" for said in (*faults[:3], *remarks))
        raise DataError(f"{root} states no box of any training image{detail}")
    for missing in (label for label in stated or () if label not in named):
        raise DataError(
            f"data.box_classes names {missing!r}, which no training image of {root} has; there "
            f"are {', '.join(sorted(named))}"
        )
    _refuse_shares(root, parts)
    classes = stated or tuple(sorted(named))
    found = list(faults)
    items = [_number(part, classes, found, stated is not None) for part in parts]
    listing = Listing(
        *(name, root, classes, *items),
        faults=tuple(found),
        boxed=True,
        remarks=(*remarks, *_find_like_names(classes)),
    )
    return drop_repeats(listing)


def _refuse_shares(root: Path, parts: Sequence[Part]) -> None:
    """Refuse edges that are shares of the image's sides: all boxes would lie in its first pixel.

    Raises:
        DataError: No edge of any box is larger than 1.
    """
    boxes = [box for part in parts for one in part for box in one.boxes]
    if all(0 <= edge <= 1 for box in boxes for edge in box.edges):
        raise DataError(
            f"all {len(boxes)} boxes of {root} have edges from 0 to 1, as {boxes[0].place}, which "
            "are shares of the image's sides; state them in pixels: times its width and height"
        )


def _find_like_names(classes: Sequence[str]) -> list[str]:
    """Classes whose names are told apart by upper and lower case alone, a sentence each two."""
    known: dict[str, str] = {}
    return [
        f"the classes {first!r} and {label!r} differ by upper and lower case alone; if they are "
        "one, name them alike"
        for label in classes
        if (first := known.setdefault(label.casefold(), label)) != label
    ]


def describe_unstated(images: Iterable[Path], stated: Container[Path]) -> list[str]:
    """How many images no annotation is about, in a sentence; none where there is no such image.

    Args:
        images: All that are there.
        stated: Those that an annotation is about.
    """
    left = [path for path in images if path not in stated]
    if not left:
        return []
    are = "images have no annotation and are" if len(left) > 1 else "image has no annotation and is"
    return [f"{len(left)} {are} left out, such as {left[0]}"]


def _number(
    part: Part, classes: tuple[str, ...], faults: list[str], stated: bool
) -> tuple[Item, ...]:
    """Items of those images whose objects are all of known classes; the others are faults."""
    number = {label: index for index, label in enumerate(classes)}
    items = []
    for one in part:
        strange = [box for box in one.boxes if box.name not in number]
        if strange:
            why = "data.box_classes does not name it" if stated else "no training image has it"
            faults.append(f"{strange[0].place} is of class {strange[0].name!r}, and {why}")
            continue
        boxes = tuple(Box(number[box.name], *box.edges, box.place) for box in one.boxes)
        items.append(Item(one.image, boxes=boxes, drawn_on=one.size))
    return tuple(items)


def find_images(walk: FolderWalk, folder: Path) -> dict[str, Path]:
    """The images of a folder by their file's name."""
    found = walk.list_folder(folder)
    return {path.name: path for path in divide_pictures(found.files, [])}


def find_image(images: dict[str, Path], name: str) -> Path | None:
    """The image of this name, with or without its ending; None: there is none, or several."""
    if name in images:
        return images[name]
    same = [path for path in images.values() if path.stem == name]
    return same[0] if len(same) == 1 else None


def read_name(value: object, place: str, faults: list[str]) -> str | None:
    """The name of a class; None, and a fault: it is empty or no text."""
    if isinstance(value, str) and value.strip() and not find_unprintable(value.strip()):
        return value.strip()
    faults.append(f"{place} names no class")
    return None


def read_numbers(values: Sequence[object], place: str, faults: list[str]) -> list[float] | None:
    """Numbers of a box; None, and a fault: one is missing or no number."""
    try:
        # Python's own reading takes true for 1, and 1_0 for 10.
        if not any(isinstance(value, bool) or "_" in str(value) for value in values):
            return [float(value) for value in values]  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        pass
    faults.append(f"{place} has the edges {list(values)}; a box has four numbers")
    return None


def read_size(width: object, height: object, place: str) -> Size | None:
    """The size of an image as an annotation states it; None: it states none that is one.

    Args:
        width: Pixels; many tools write 0 where they do not know.
        height: Likewise.
        place: Where it stands.
    """
    numbers = read_numbers([width, height], place, [])
    if numbers is None or not all(0 < one < float("inf") for one in numbers):
        return None
    return (numbers[0], numbers[1], place)


def refuse_repeats(part: Part, faults: list[str]) -> list[Annotated]:
    """The images that are stated once; of one that is stated again the first stays."""
    seen: dict[Path, Annotated] = {}
    for one in part:
        if one.image in seen:
            faults.append(f"{one.image} is stated twice; take one of them away")
        seen.setdefault(one.image, one)
    return list(seen.values())
