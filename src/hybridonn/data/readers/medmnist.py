"""Sets in MedMNIST's npz layout (Yang et al. 2023): six arrays, 2-D images, one class each."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch

from hybridonn.core.array_reading import ArrayHeader, read_archive, read_headers
from hybridonn.core.errors import DataError
from hybridonn.data.dataset import ImageSet, UnsplitSet

PARTS = ("train", "val", "test")
KEYS = tuple(f"{part}_{kind}" for part in PARTS for kind in ("images", "labels"))
_SIZE = re.compile(r"_\d+$")  # pneumoniamnist_64.npz holds 64 x 64 pixels
_ORGANS = (
    *("bladder", "femur-left", "femur-right", "heart", "kidney-left", "kidney-right", "liver"),
    *("lung-left", "lung-right", "pancreas", "spleen"),
)
# The file itself has no names: they are those of medmnist.INFO, shortened.
CLASSES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "bloodmnist": (
            *("basophil", "eosinophil", "erythroblast", "immature granulocyte", "lymphocyte"),
            *("monocyte", "neutrophil", "platelet"),
        ),
        "breastmnist": ("malignant", "normal or benign"),
        "dermamnist": (
            *("actinic keratosis", "basal cell carcinoma", "benign keratosis", "dermatofibroma"),
            *("melanoma", "melanocytic nevus", "vascular lesion"),
        ),
        "octmnist": ("CNV", "DME", "drusen", "normal"),
        "organamnist": _ORGANS,
        "organcmnist": _ORGANS,
        "organsmnist": _ORGANS,
        "pathmnist": (
            *("adipose", "background", "debris", "lymphocytes", "mucus", "smooth muscle"),
            *("normal colon mucosa", "cancer-associated stroma", "colorectal adenocarcinoma"),
        ),
        "pneumoniamnist": ("normal", "pneumonia"),
        "retinamnist": ("grade 0", "grade 1", "grade 2", "grade 3", "grade 4"),
        "tissuemnist": (
            *("collecting or connecting duct", "distal convoluted tubule"),
            *("glomerular endothelium", "interstitial endothelium", "leukocytes", "podocytes"),
            *("proximal tubule", "thick ascending limb"),
        ),
    }
)


def find_named_medmnist(root: Path, name: str) -> Path:
    """The file of a named set in the data root.

    Raises:
        DataError: It is not there.
    """
    places = [root / folder / f"{name}.npz" for folder in (name, "medmnist", "")]
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        raise DataError(
            f"{name} is not in {root}: looked for {name}/{name}.npz, medmnist/{name}.npz and "
            f"{name}.npz; get it from https://medmnist.com, and put it there or name the file by "
            "data.folder"
        )
    return found


def find_medmnist(place: Path, name: str | None) -> Path:
    """The npz file that is a place, or lies in it.

    Args:
        place: A file, or a folder.
        name: Name of the file without its ending; None: the folder holds one file.

    Raises:
        DataError: There is none, or several that could be meant.
    """
    if place.is_file():
        return place
    try:
        files = sorted(path for path in place.iterdir() if path.suffix == ".npz")
    except OSError as error:
        raise DataError(f"cannot read the folder {place}: {error.strerror or error}") from None
    fitting = [path for path in files if name in (None, path.stem)]
    if len(fitting) != 1:
        held = ", ".join(path.name for path in files[:8]) or "no npz file"
        wanted = "one npz file" if name is None else f"{name}.npz"
        raise DataError(
            f"{place} holds {held}, and {wanted} is looked for; name the file itself by "
            "data.folder, or its name without .npz by data.variant"
        )
    return fitting[0]


def read_medmnist(path: Path) -> UnsplitSet:
    """Read a set of 2-D images with its own three parts.

    Classes have the names of MedMNIST where the file is called as one of its sets, else their
    numbers.

    Raises:
        DataError: The file is missing or damaged, has other arrays, or holds no 2-D images of one
            class each.
    """
    _check_headers(path, read_headers(path))
    arrays = read_archive(path)
    parts = [_to_set(path, part, arrays) for part in PARTS]
    train, validation, test = parts
    classes = _name_classes(path, parts)
    return UnsplitSet(path.stem, classes, train, test, validation)


def _check_headers(path: Path, found: Mapping[str, ArrayHeader]) -> None:
    if set(found) != set(KEYS):
        missing, others = sorted(set(KEYS) - set(found)), sorted(set(found) - set(KEYS))
        faults = [f"lacks {', '.join(missing)}"] * bool(missing)
        faults += [f"has {', '.join(others[:6])} in excess"] * bool(others)
        raise DataError(
            f"{path} {' and '.join(faults)}; MedMNIST's layout has the arrays {', '.join(KEYS)}"
        )
    first = found["train_images"].shape
    for part in PARTS:
        images, labels = found[f"{part}_images"], found[f"{part}_labels"]
        _check_images(f"{part}_images of {path}", images, first)
        if labels.shape[1:] and labels.shape[0] == images.shape[0] and labels.shape[1] > 1:
            raise DataError(
                f"{part}_labels of {path} has {labels.shape[1]} labels an image; sets of several "
                "labels an image, such as ChestMNIST, are not read: each image needs one class"
            )
        if labels.dtype.kind not in "iu" or math.prod(labels.shape) != images.shape[0]:
            raise DataError(
                f"{part}_labels of {path} is {labels.shape} of {labels.dtype} for "
                f"{images.shape[0]} images; each image needs one class, a whole number"
            )


def _check_images(what: str, images: ArrayHeader, first: tuple[int, ...]) -> None:
    shape = images.shape
    flat = len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)
    if not flat or images.dtype != np.uint8 or 0 in shape:
        raise DataError(
            f"{what} is {shape} of {images.dtype}; allowed are 2-D images of uint8, (N, H, W) of "
            "grey or (N, H, W, 3) of colour"
        )
    if shape[1:] != first[1:]:
        raise DataError(
            f"{what} has images of {shape[1:]}, and train_images of {first[1:]}; all parts need "
            "one size, and be all grey or all in colour"
        )


def _to_set(path: Path, part: str, arrays: Mapping[str, np.ndarray]) -> ImageSet:
    images = np.ascontiguousarray(arrays[f"{part}_images"])
    labels = arrays[f"{part}_labels"].reshape(-1).astype(np.int64)
    if labels.min() < 0:
        raise DataError(f"{part}_labels of {path} has the label {labels.min()}; allowed is 0 up")
    held = torch.from_numpy(images)
    held = held.unsqueeze(1) if held.ndim == 3 else held.permute(0, 3, 1, 2).contiguous()
    return ImageSet(held, torch.from_numpy(labels))


def _name_classes(path: Path, parts: list[ImageSet]) -> tuple[str, ...]:
    most = max(int(part.labels.max()) for part in parts) + 1
    known = CLASSES.get(_SIZE.sub("", path.stem.lower()))
    if known and most > len(known):
        raise DataError(
            f"{path} is called as {_SIZE.sub('', path.stem)}, which has {len(known)} classes, but "
            f"has the label {most - 1}; rename it if it is another set"
        )
    count = max(2, len(known) if known else most)
    present = parts[0].labels.unique().tolist()  # in order; a label may be 10^12
    absent = next((k for k, label in enumerate(present) if k != label), len(present))
    if absent < count:
        raise DataError(
            f"{path} has no training image of class {absent}; its labels go "
            f"up to {most - 1}, and every class from 0 to {count - 1} needs one"
        )
    return known or tuple(map(str, range(count)))
