"""CIFAR-10 and CIFAR-100 as A. Krizhevsky published them, binary or in python batches.

Binary: records of one label byte (CIFAR-100: coarse, then fine) and 3072 bytes,
red, green and blue of 32 x 32 pixels by rows. Python: pickled dictionaries of the
same bytes (A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images",
2009, and https://www.cs.toronto.edu/~kriz/cifar.html).
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch

from hybridonn.core.errors import DataError
from hybridonn.core.parts import scratch_folder
from hybridonn.core.progress import Progress
from hybridonn.data.dataset import ImageSet, UnsplitSet
from hybridonn.data.memory import refuse_memory
from hybridonn.data.readers.download import fetch
from hybridonn.data.readers.folders import refuse_same_file
from hybridonn.data.readers.pickles import read_pickled_dict
from hybridonn.data.readers.sources import Source

SIDE = 32
PIXELS = 3 * SIDE * SIDE
CIFAR10_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


@dataclass(frozen=True)
class Layout:
    """One way in which a set is published.

    Attributes:
        folder: Name of the folder in the archive.
        train: Files of the training part.
        test: File of the test part.
        names: File of the classes' names.
        labels: Label bytes before each image, the last one counting; 0: python batches.
        key: Key of the labels in python batches.
    """

    folder: str
    train: tuple[str, ...]
    test: str
    names: str
    labels: int
    key: str = "labels"

    @property
    def pictures(self) -> tuple[str, ...]:
        """The files without which nothing can be read."""
        return (*self.train, self.test)


BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
LAYOUTS: Mapping[str, tuple[Layout, Layout]] = MappingProxyType(
    {
        "cifar10": (
            Layout(
                "cifar-10-batches-bin",
                tuple(f"{name}.bin" for name in BATCHES),
                "test_batch.bin",
                "batches.meta.txt",
                1,
            ),
            Layout("cifar-10-batches-py", BATCHES, "test_batch", "batches.meta", 0),
        ),
        "cifar100": (
            Layout("cifar-100-binary", ("train.bin",), "test.bin", "fine_label_names.txt", 2),
            Layout("cifar-100-python", ("train",), "test", "meta", 0, "fine_labels"),
        ),
    }
)


def read_cifar(
    name: str, folder: Path | None, root: Path, source: Source, progress: Progress
) -> UnsplitSet:
    """Read CIFAR-10 or CIFAR-100, downloading it where it is not found.

    A folder that is found is taken as it is, so that a rebuilt or corrected copy
    is as good as the original; an archive must have its author's checksum.

    Args:
        name: ``cifar10`` or ``cifar100``.
        folder: The user's folder; None: it lies in the data root, or is downloaded.
        root: The data root.
        source: Where the archive comes from.
        progress: Shows the download.

    Raises:
        DataError: Files are missing or damaged, or cannot be downloaded.
    """
    places = [folder] if folder else [root / name, root]
    found = _find(name, places)
    if found is None:
        if folder is not None:
            raise DataError(_not_there(name, folder))
        (archive,) = fetch(source, root, progress)
        found = _unpack(archive, LAYOUTS[name][0])
    return _read(name, *found)


def _find(name: str, places: Iterable[Path]) -> tuple[Path, Layout] | None:
    for place in places:
        for layout in LAYOUTS[name]:
            for folder in (place / layout.folder, place):
                held = [file for file in layout.pictures if (folder / file).is_file()]
                if len(held) == len(layout.pictures):
                    return folder, layout
                if held and folder.name == layout.folder:
                    missing = [file for file in layout.pictures if file not in held]
                    raise DataError(f"{folder} lacks {', '.join(missing)}; get the set again")
    return None


def _not_there(name: str, folder: Path) -> str:
    ways = " or ".join(f"{each.folder}/ with {each.test}" for each in LAYOUTS[name])
    return (
        f"{folder} does not hold {name}: looked for {ways}, and for these files in {folder} "
        "itself; an archive must be unpacked first"
    )


def _unpack(archive: Path, layout: Layout) -> tuple[Path, Layout]:
    # The files that are read, and no others, unpacked beside the archive.
    folder = archive.parent / layout.folder
    try:
        with scratch_folder(folder) as scratch:
            part = scratch / layout.folder
            part.mkdir()
            with tarfile.open(archive) as content:
                for name in (*layout.pictures, layout.names):
                    member = content.extractfile(f"{layout.folder}/{name}")
                    if member is None:
                        raise DataError(f"{archive} holds {name} as something else than a file")
                    with member, (part / name).open("wb") as file:
                        shutil.copyfileobj(member, file)
            part.rename(folder)
    except (OSError, KeyError, tarfile.TarError, EOFError) as error:
        raise DataError(f"cannot unpack {archive}: {error}") from None
    return folder, layout


def _read(name: str, folder: Path, layout: Layout) -> UnsplitSet:
    classes = _read_classes(name, folder, layout)
    refuse_same_file([folder / file for file in layout.pictures])
    train = [_read_batch(folder / file, layout, len(classes)) for file in layout.train]
    images = np.concatenate([each[0] for each in train]) if len(train) > 1 else train[0][0]
    labels = np.concatenate([each[1] for each in train])
    return UnsplitSet(
        name,
        classes,
        _to_set(images, labels),
        _to_set(*_read_batch(folder / layout.test, layout, len(classes))),
    )


def _read_classes(name: str, folder: Path, layout: Layout) -> tuple[str, ...]:
    count = 10 if name == "cifar10" else 100
    path = folder / layout.names
    if not path.is_file():
        return CIFAR10_CLASSES if count == 10 else tuple(map(str, range(count)))
    if layout.labels:
        classes = tuple(_read_names(path).split())
    else:
        held = read_pickled_dict(path)
        names = held.get("label_names" if count == 10 else "fine_label_names", ())
        if not isinstance(names, list) or not all(isinstance(n, (bytes, str)) for n in names):
            raise DataError(f"{path} holds no list of the classes' names")
        classes = tuple(_decode(n, path) if isinstance(n, bytes) else n for n in names)
    if len(classes) != count:
        raise DataError(f"{path} names {len(classes)} classes; {name} has {count}")
    return classes


def _read_names(path: Path) -> str:
    try:
        return _decode(path.read_bytes(), path)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None


def _decode(text: bytes, path: Path) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        raise DataError(
            f"{path} is not UTF-8; save it so, or take it away: then the usual names stand"
        ) from None


def _read_batch(path: Path, layout: Layout, classes: int) -> tuple[np.ndarray, np.ndarray]:
    read = _read_records if layout.labels else _read_pickled
    pixels, labels = read(path, layout)
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise DataError(
            f"{path} holds labels from {labels.min()} to {labels.max()}; "
            f"0 to {classes - 1} are allowed"
        )
    return pixels.reshape(-1, 3, SIDE, SIDE), labels


def _read_records(path: Path, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    length = layout.labels + PIXELS
    try:
        refuse_memory(3 * path.stat().st_size, f"to read {path}", "free some")
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    if content.size == 0 or content.size % length:
        raise DataError(
            f"{path} holds {content.size:,} bytes, which is not a whole number of records of "
            f"{length:,} bytes; it is truncated or of another set"
        )
    records = content.reshape(-1, length)
    labels = records[:, layout.labels - 1].astype(np.int64)
    return np.ascontiguousarray(records[:, layout.labels :]), labels


def _read_pickled(path: Path, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    held = read_pickled_dict(path)
    pixels, labels = held.get("data"), held.get(layout.key)
    if not isinstance(pixels, np.ndarray) or not isinstance(labels, list):
        raise DataError(f"{path} holds {', '.join(held)}; a python batch has data and {layout.key}")
    if pixels.dtype != np.uint8 or pixels.shape != (len(labels), PIXELS) or not labels:
        raise DataError(
            f"{path} holds {pixels.dtype} values of shape {pixels.shape} and {len(labels)} labels; "
            f"a batch holds uint8 values of shape (number, {PIXELS}) and as many labels"
        )
    if not all(type(label) is int for label in labels):
        raise DataError(f"{path} holds labels that are no integers")
    return pixels, np.array(labels, dtype=np.int64)


def _to_set(images: np.ndarray, labels: np.ndarray) -> ImageSet:
    if not images.flags.writeable:
        images = images.copy()  # torch shares memory with writable arrays only
    return ImageSet(torch.from_numpy(images), torch.from_numpy(labels))
