"""What a data set holds, and what is wrong with it, before anything is trained on it."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hybridonn.core.errors import DataError, HybridonnError
from hybridonn.core.progress import Progress
from hybridonn.data.dataset import Dataset, ImageSet, UnsplitSet
from hybridonn.data.load import load_unsplit
from hybridonn.data.readers.image_files import Shape
from hybridonn.data.splits import split_set
from hybridonn.spec import Data
from hybridonn.tasks.task import Task, make_task

LARGEST_SCALE = 2  # by which small images may be enlarged without a remark
_CHUNK = 1000  # images at a time: bounded memory for any set


@dataclass(frozen=True)
class Survey:
    """What a data set holds.

    Attributes:
        name: What the reports call it.
        classes: Names of the classes.
        image_shape: (C, H, W) of every image, as networks see it.
        counts: Images in each part.
        balance: For each class, its share of each part's images, or of its pixels.
        stored: How many images were stored as what, by size and depth.
        mean: Mean of each channel over all training images, of radiance in [0, 1].
        standard_deviation: Likewise.
        faults: What is wrong with which file.
        obstacles: Why the set cannot be split, or a run refuses it.
        remarks: What is suspicious, but not wrong.
    """

    name: str
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    counts: Mapping[str, int]
    balance: Mapping[str, Mapping[str, float]]
    stored: Mapping[str, int]
    mean: tuple[float, ...]
    standard_deviation: tuple[float, ...]
    faults: tuple[str, ...]
    remarks: tuple[str, ...]
    obstacles: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As a tree of plain values."""
        return asdict(self)


def survey_data(
    data: Data,
    root: Path | None,
    progress: Progress,
    check: Callable[[Dataset], None] = lambda dataset: None,
) -> tuple[Survey, ImageSet]:
    """Look through the data set that a spec names, whatever is wrong with its files.

    Args:
        data: The set and how to split it.
        root: The folder of the named sets.
        progress: Shows how far it is.
        check: Refuses a set that a run would refuse once it is split.

    Returns:
        What was found, and the images that training would see.

    Raises:
        DataError: The set cannot be found, or nothing of it can be read.
    """
    unsplit = load_unsplit(data.model_copy(update={"skip_bad": True}), root, progress)
    task = make_task(data.task)
    parts, obstacles = _split(unsplit, data, task, check)
    mean, deviation = measure_channels(parts["train"])
    balance = weigh_classes(parts, unsplit.classes, task)
    channels, height, width = unsplit.images.images.shape[1:]
    count = sum(len(part) for part in parts.values())
    as_they_are = {str(Shape(height, width, channels == 1)): count}
    survey = Survey(
        name=unsplit.name,
        classes=unsplit.classes,
        image_shape=(channels, height, width),
        counts={name: len(part) for name, part in parts.items()},
        balance=balance,
        stored=unsplit.stored or as_they_are,
        mean=mean,
        standard_deviation=deviation,
        faults=unsplit.skipped,
        remarks=(
            *unsplit.remarks,
            *find_misfits(unsplit.stored, (channels, height, width)),
            *find_unseen(balance),
            *find_oddities(parts, task),
        ),
        obstacles=obstacles,
    )
    return survey, parts["train"]


def measure_channels(part: ImageSet) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, of radiance in [0, 1], exactly."""
    channels = part.images.shape[1]
    counts = np.zeros((channels, 256), dtype=np.int64)
    for chunk in part.images.split(_CHUNK):
        for channel in range(channels):
            counts[channel] += torch.bincount(chunk[:, channel].flatten(), minlength=256).numpy()
    values = np.arange(256) / 255
    shares = counts / counts.sum(1, keepdims=True)
    mean = shares @ values
    variance = shares @ values**2 - mean**2
    return tuple(mean.tolist()), tuple(np.sqrt(variance.clip(0)).tolist())


def weigh_classes(
    parts: Mapping[str, ImageSet], classes: tuple[str, ...], task: Task
) -> dict[str, dict[str, float]]:
    """Each class's share of the labels of each part."""
    shares = {name: task.balance(part.labels, len(classes)) for name, part in parts.items()}
    return {
        label: {name: float(share[number]) for name, share in shares.items()}
        for number, label in enumerate(classes)
    }


def find_misfits(stored: Mapping[str, int], image_shape: tuple[int, int, int]) -> list[str]:
    """Where colour and size of the spec go beyond the files, a sentence each.

    Args:
        stored: How many images were stored as what, by size and depth; may be empty.
        image_shape: (C, H, W) of every image, as networks see it.
    """
    if not stored:
        return []
    channels, height, width = image_shape
    remarks = []
    if channels == 3 and all(", grey" in shape for shape in stored):
        remarks.append(
            "all images are stored in grey, so that their three channels are alike; "
            "data.colour: grey takes one, and one wavelength"
        )
    sides = {shape: [int(side) for side in re.findall(r"\d+", shape)[:2]] for shape in stored}
    scales = [math.sqrt(height * width / math.prod(sides[shape])) for shape in stored]
    enlarged = sum(
        count for count, scale in zip(stored.values(), scales, strict=True) if scale > LARGEST_SCALE
    )
    if 2 * enlarged > sum(stored.values()):
        largest = " x ".join(map(str, max(sides.values(), key=math.prod)))
        remarks.append(
            f"most images are enlarged more than {LARGEST_SCALE} times to {height} x {width} "
            f"pixels, which costs time and shows nothing new (the largest is stored as {largest}); "
            "set data.size_pixels"
        )
    return remarks


UNSEEN = {
    "train": "which nothing can learn",
    "validation": "so that epochs are chosen without it",
    "test": "so that no number says how well it is found",
}


def find_unseen(balance: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Classes that no image of a part shows, a sentence each.

    Args:
        balance: From :func:`weigh_classes`.
    """
    names = {"train": "training"}
    return [
        f"no {names.get(part, part)} image shows the class {label}, {why}"
        for part, why in UNSEEN.items()
        for label, shares in balance.items()
        if shares.get(part) == 0
    ]


def find_oddities(parts: Mapping[str, ImageSet], task: Task) -> list[str]:
    """Suspicious facts: images of one value, labels that tell nothing, an image twice."""
    remarks = []
    for name, part in parts.items():
        blank = sum(_count_uniform(chunk) for chunk in part.images.split(_CHUNK))
        if blank:
            remarks.append(f"{blank} of the {len(part)} {name} images have one value everywhere")
        remarks += task.remark(part.labels, name)
    digests = {name: _digest_images(part) for name, part in parts.items()}
    for name in ("validation", "test"):
        seen = set(digests["train"])
        twice = sum(digest in seen for digest in digests.get(name, ()))
        if twice:
            remarks.append(
                f"{twice} of the {len(parts[name])} {name} images are among the training images "
                "too: their score says nothing of new images"
            )
    return remarks


def _split(
    unsplit: UnsplitSet, data: Data, task: Task, check: Callable[[Dataset], None]
) -> tuple[dict[str, ImageSet], tuple[str, ...]]:
    """The parts by name, and what a run would refuse; of a set that cannot be split, all of it."""
    try:
        split = split_set(unsplit, data, task)
    except DataError as error:
        return {"train": unsplit.images}, (f"the set cannot be split: {error}",)
    obstacles: tuple[str, ...] = ()
    try:
        check(split)
    except HybridonnError as error:
        obstacles = (f"a run refuses it: {error}",)
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    return {name: part for name, part in parts.items() if len(part)}, obstacles


def _count_uniform(values: torch.Tensor) -> int:
    flat = values.flatten(1)
    return int((flat == flat[:, :1]).all(1).sum())


def _digest_images(part: ImageSet) -> list[bytes]:
    images = part.images.numpy()
    return [hashlib.sha256(np.ascontiguousarray(image).data).digest() for image in images]
