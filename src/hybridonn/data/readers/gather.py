"""From listed images to a set: decoded once by all cores, then taken from the store."""

from __future__ import annotations

import hashlib
import math
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from hybridonn.core.errors import DataError
from hybridonn.core.memory import say_bytes
from hybridonn.core.progress import Progress
from hybridonn.data.dataset import ImageSet, UnsplitSet
from hybridonn.data.readers.bit_depth import BitDepth, find_bit_depth
from hybridonn.data.readers.boxes import find_box_fault, place_boxes, stack_boxes
from hybridonn.data.readers.image_facts import check_pixels
from hybridonn.data.readers.image_files import (
    Shape,
    Target,
    describe_sizes,
    read_mask,
    read_picture,
    read_shape,
    read_used_bits,
)
from hybridonn.data.readers.listing import Item, Listing
from hybridonn.data.store import Stored, create_array, find_stored, store
from hybridonn.spec import Data

T = TypeVar("T")
S = TypeVar("S")

VERSION = 3  # of how images are decoded: a change makes every stored set anew
SHOWN_FAULTS = 20
MOST_BITS = 16


def gather(listing: Listing, data: Data, progress: Progress) -> UnsplitSet:
    """Read all images of a listing, or take them from the store.

    Raises:
        DataError: A file is damaged, unpaired, or unlike the others, and
            ``data.skip_bad`` is not set: all such files are named; or nothing is left.
    """
    if not listing.items:
        raise DataError(_describe(listing, ("there is no image to read", *listing.faults)))
    _refuse_size(data)
    key = _key(listing, data)
    stored = find_stored(key) or store(key, lambda part: _fill(part, listing, data, progress))
    faults = (*listing.faults, *stored.notes["faults"])
    for remark in (*listing.remarks, *stored.notes["remarks"]):
        progress.say(f"{listing.name}: {remark}")
    if faults and not data.skip_bad:
        raise DataError(_describe(listing, faults))
    if not stored.notes["kept"]:
        raise DataError(_describe(listing, ("no image is left", *faults)))
    return _divide(listing, stored, faults)


def _refuse_size(data: Data) -> None:
    if data.size_pixels is not None:
        check_pixels(*data.size_pixels, f"data.size_pixels: {list(data.size_pixels)}")


def _describe(listing: Listing, faults: tuple[str, ...]) -> str:
    shown = faults[:SHOWN_FAULTS]
    more = len(faults) - len(shown)
    rest = f"\n  and {more} more; `hybridonn data check` lists all" if more else ""
    return (
        f"{listing.root} has {len(faults)} fault{'s' * (len(faults) > 1)}; mend the files, or "
        "leave them out and count them with data.skip_bad: true:\n  " + "\n  ".join(shown) + rest
    )


def _key(listing: Listing, data: Data) -> str:
    # All that the decoded images depend on: the files, their times, how they are read.
    wanted = (data.colour, data.size_pixels, data.resize, data.bit_depth, listing.masks)
    digest = hashlib.sha256(repr((VERSION, str(listing.root.resolve()), wanted)).encode())
    for item in listing.items:
        for path in item.files:
            try:
                state = path.stat()
            except OSError as error:
                raise DataError(f"cannot read {path}: {error.strerror or error}") from None
            line = (str(path.relative_to(listing.root)), state.st_size, state.st_mtime_ns)
            digest.update(repr(line).encode())
        if listing.boxed:
            digest.update(repr((item.boxes, item.drawn_on)).encode())
        digest.update(b"|")
    return digest.hexdigest()


def _fill(part: Path, listing: Listing, data: Data, progress: Progress) -> dict[str, Any]:
    shapes, faults = _look(listing, progress)
    if not shapes:
        return {"kept": [], "faults": list(faults.values()), "stored": {}, "remarks": []}
    items = listing.items
    _refuse_sizes(listing, list(shapes.values()), data)
    depth = _find_depth(listing, shapes, faults, data.bit_depth, progress)
    target = _choose_target(list(shapes.values()), data, depth)
    for index, shape in shapes.items():
        if fault := _differs(shape, target, data):
            faults[index] = f"{items[index].image} is {shape}; {fault}"
        elif fault := find_box_fault(items[index].boxes, shape, items[index].drawn_on):
            faults[index] = fault
    good = [index for index in shapes if index not in faults]
    bad = _decode(part, [items[index] for index in good], target, listing, progress)
    faults |= {good[row]: fault for row, fault in bad.items()}
    kept = [index for index in good if index not in faults]
    placed = [place_boxes(items[index].boxes, shapes[index], target) for index in kept]
    return {
        "kept": kept,
        "boxes": placed if listing.boxed else [],
        "faults": [faults[index] for index in sorted(faults)],
        "stored": Counter(map(str, shapes.values())),
        "remarks": [
            *([depth.remark] if depth else []),
            *_count_cut(sum(len(items[index].boxes) for index in kept), sum(map(len, placed))),
        ],
    }


def _refuse_sizes(listing: Listing, shapes: list[Shape], data: Data) -> None:
    """Refuse images of so many sizes that none is the set's own, in one sentence for all.

    Raises:
        DataError: ``data.size_pixels`` is open, and no size is that of a third of the images.
    """
    sizes = Counter((shape.height, shape.width) for shape in shapes)
    if data.size_pixels is None and 3 * max(sizes.values()) < len(shapes):
        raise DataError(
            f"{listing.root} has images of {describe_sizes(sizes)}; set data.size_pixels, say to "
            "128, and all are brought to one size, as data.resize says (crop, pad or stretch)"
        )


def _count_cut(stated: int, placed: int) -> list[str]:
    if stated == placed:
        return []
    return [
        f"{stated - placed} of {stated} boxes lie for the most part where the images are cut to "
        "data.size_pixels, and are left out; data.resize: stretch or pad keeps all"
    ]


def _look(listing: Listing, progress: Progress) -> tuple[dict[int, Shape], dict[int, str]]:
    """Facts of each file's image, or what is wrong with it, by its place in the listing."""
    paths = [item.image for item in listing.items]
    found = list(_each(read_shape, paths, f"look at {listing.name}", progress))
    shapes = {index: shape for index, shape in enumerate(found) if isinstance(shape, Shape)}
    faults = {index: str(one) for index, one in enumerate(found) if index not in shapes}
    return shapes, faults


def _find_depth(
    listing: Listing,
    shapes: dict[int, Shape],
    faults: dict[int, str],
    stated: int | None,
    progress: Progress,
) -> BitDepth | None:
    """What the values of the images of 16 bits mean; None: there are none of them.

    Images that cannot be read join the faults.

    Raises:
        DataError: A depth is stated that no image has, or less than one has.
    """
    items = listing.items
    deep = [index for index, shape in shapes.items() if shape.deep]
    if not deep:
        if stated is not None:
            raise DataError(
                f"data.bit_depth is {stated}, but no image of {listing.root} is stored with 16 "
                "bits; leave it out"
            )
        return None
    paths = [items[index].image for index in deep]
    found = list(_each(read_used_bits, paths, f"look at the values of {listing.name}", progress))
    used = {path: one for path, one in zip(paths, found, strict=True) if isinstance(one, int)}
    for index, one in zip(deep, found, strict=True):
        if not isinstance(one, int):
            faults[index] = str(one)
    return find_bit_depth(used, stated)


def _choose_target(shapes: list[Shape], data: Data, depth: BitDepth | None) -> Target:
    # Where the spec leaves size or depth open, most images decide.
    wanted = Counter(
        (
            data.size_pixels or (shape.height, shape.width),
            shape.grey if data.colour == "auto" else data.colour == "grey",
        )
        for shape in shapes
    )
    (size, grey), _ = wanted.most_common(1)[0]
    return Target(
        *size, grey=grey, resize=data.resize, bit_depth=depth.bits if depth else MOST_BITS
    )


def _differs(shape: Shape, target: Target, data: Data) -> str | None:
    if data.size_pixels is None and (shape.height, shape.width) != (target.height, target.width):
        return (
            f"most are {target.height} x {target.width}; "
            "set data.size_pixels, and all are brought to one size"
        )
    if data.colour == "auto" and shape.grey != target.grey:
        most = "grey" if target.grey else "in colour"
        return f"most are {most}; set data.colour to rgb or grey, and all are converted"
    return None


def _decode(
    part: Path, items: list[Item], target: Target, listing: Listing, progress: Progress
) -> dict[int, str]:
    """Write ``images.npy`` and ``masks.npy`` of the good ones, in order and without holes.

    Returns:
        What is wrong with each other one, by its place among the items.
    """
    size = (target.height, target.width)
    shape = (len(items), target.channels, *size)
    _refuse_disk(part, math.prod(shape) + bool(listing.masks) * math.prod((len(items), *size)))
    arrays = [create_array(part / "images.npy", shape)]
    rule = listing.masks
    if rule:
        arrays.append(create_array(part / "masks.npy", (len(items), *size)))

    def decode(row: int) -> None:
        arrays[0][row] = read_picture(items[row].image, target)
        if rule:
            arrays[1][row] = read_mask(items[row], rule, target)

    faults: dict[int, str] = {}
    outcomes = _each(decode, range(len(items)), f"read {listing.name}", progress)
    for row, outcome in enumerate(outcomes):
        if outcome is not None:
            faults[row] = str(outcome)
        elif faults:
            # Outcomes come in order: the rows up to this one are no longer written to.
            for array in arrays:
                array[row - len(faults)] = array[row]
    return faults


def _refuse_disk(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise DataError(
            f"the decoded images take {say_bytes(size)}, and {folder.parent} has "
            f"{say_bytes(free)}; set a smaller data.size_pixels, free some space, or name another "
            "folder in the environment variable HYBRIDONN_CACHE"
        )


def _each(
    work: Callable[[S], T], inputs: Sequence[S], label: str, progress: Progress
) -> Iterator[T | DataError]:
    """Results of the work for each input, in order, by as many threads as there are cores.

    Decoders release the interpreter's lock, so threads do what processes would.
    """

    def guarded(value: S) -> T | DataError:
        try:
            return work(value)
        except DataError as error:
            return error

    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    try:
        with progress.bar(label, total=len(inputs)) as advance:
            for outcome in pool.map(guarded, inputs):
                advance(1)
                yield outcome
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupt does not wait for what is queued


def _divide(listing: Listing, stored: Stored, faults: tuple[str, ...]) -> UnsplitSet:
    kept: list[int] = stored.notes["kept"]
    images = torch.from_numpy(stored.arrays["images"])
    if listing.masks:
        labels = torch.from_numpy(stored.arrays["masks"])
    elif listing.boxed:
        labels = stack_boxes(stored.notes["boxes"])
    else:
        items = listing.items
        labels = torch.tensor([items[index].label for index in kept], dtype=torch.int64)
    patients = tuple(listing.items[index].patient for index in kept)
    whole = ImageSet(images, labels, patients if any(patients) else None)
    sizes = [len(part) for part in (listing.train, listing.validation, listing.test)]
    ends = [int(np.searchsorted(kept, end)) for end in accumulate(sizes)]
    train, validation, test = (
        whole.slice(start, stop) for start, stop in zip([0, *ends[:-1]], ends, strict=True)
    )
    return UnsplitSet(
        listing.name,
        listing.classes,
        train,
        test if listing.test else None,
        validation if listing.validation else None,
        faults,
        stored.notes["stored"],
        (*listing.remarks, *stored.notes["remarks"]),
    )
