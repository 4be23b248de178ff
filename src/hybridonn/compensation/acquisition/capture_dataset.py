"""What a camera measured behind a chip: registered captures of images of the data set.

A capture set is a folder: ``captures.npz`` (captures and image ids), ``psfs.npz`` where point
spread functions were measured, ``captures.json`` (how it was made and how well it agrees).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hybridonn.core.errors import ArtefactError, DataError
from hybridonn.core.files import checksum, read_arrays, read_json, write_arrays, write_json
from hybridonn.core.parts import put_new_folder, scratch_folder
from hybridonn.data.dataset import Dataset, ImageSet, join_sets

PARTS = ("student_train", "validation", "test")  # of a data set, as an image id names them
KINDS = {
    "optics": "optics",
    "dataset": "data set",
    "student": "student",
    "metasurface": "metasurface",
}
SHOWN_DIGITS = 12  # of a hash
MOST_DIGITS = 12  # of a position: no data set has more images
ARRAYS = ("image_ids", "positive", "negative", "exposure_s", "gains", "quality")


@dataclass(frozen=True)
class CaptureDataset:
    """Captures of the two sub-optics of each kernel, on the grid of the simulated feature maps.

    Dark, flat and exposure are corrected, one gain for the whole chip is applied, so that the
    captures are in the units of the simulation; brightness errors of single sub-optics are left
    in, ``gains`` says what would undo them.

    Attributes:
        image_ids: ``PART-NUMBER`` of each image, (N,): see :func:`name_image`.
        positive: (N, K, H, W) float32, colours summed.
        negative: (N, K, H, W) float32, colours summed.
        exposure_s: Exposure of each image in seconds, (N,) float32.
        gains: Of positive and negative captures, (K, 2): multiplied by them, the captures are
            nearest to the simulated ones. Found without test images.
        quality: Correlation of measured and simulated captures, (K, 2), from -1 to 1.
        psfs: Measured point spread functions as the captures of a point, (K, 2, C, P, P) float32;
            None: not measured.
        notes: How the set was made: ``dataset`` (its checksum), ``student`` (fingerprint).
        measured: Pixels of each sub-optic's captures that were measured, (K, 2, H, W) bool; the
            others lay outside of the frames and hold the border's value, which no fit looks at.
            None: all were.
    """

    image_ids: np.ndarray
    positive: np.ndarray
    negative: np.ndarray
    exposure_s: np.ndarray
    gains: np.ndarray
    quality: np.ndarray
    psfs: np.ndarray | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    measured: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.image_ids)

    @property
    def kernels(self) -> int:
        """Number of signed kernels."""
        return self.positive.shape[1]

    def take(self, positions: np.ndarray) -> CaptureDataset:
        """The captures at these positions, in this order."""
        names = ("image_ids", "positive", "negative", "exposure_s")
        return replace(self, **{name: getattr(self, name)[positions] for name in names})

    def of_part(self, *parts: str) -> CaptureDataset:
        """The captures of images of these parts of the data set."""
        found = [split_image_id(image_id)[0] in parts for image_id in self.image_ids]
        return self.take(np.flatnonzero(found))


def name_image(part: str, position: int) -> str:
    """The id of an image: ``test-00042`` is number 42 (from 0) of the test images."""
    return f"{part}-{position:05d}"


def split_image_id(image_id: str) -> tuple[str, int]:
    """Part and position of an image id.

    Raises:
        DataError: It is no image id.
    """
    part, dash, digits = str(image_id).rpartition("-")
    number = digits.isascii() and digits.isdigit() and len(digits) <= MOST_DIGITS
    if not dash or part not in PARTS or not number:
        raise DataError(
            f"{str(image_id)[:80]!r} is no image id; write PART-NUMBER, PART one of "
            f"{', '.join(PARTS)}, as in {name_image('test', 42)}"
        )
    return part, int(digits)


def find_positions(image_ids: Sequence[str] | np.ndarray, part: str) -> torch.Tensor:
    """The positions of those images that are of a part of the data set, (n,) int64."""
    found = [split_image_id(image_id) for image_id in image_ids]
    return torch.tensor([position for name, position in found if name == part], dtype=torch.int64)


def look_up(image_ids: Sequence[str] | np.ndarray, dataset: Dataset) -> ImageSet:
    """The raw images, with their labels, that ids name, in the order of the ids.

    Raises:
        DataError: An id names no image of the data set.
    """
    if not len(image_ids):
        return dataset.test.take(torch.zeros(0, dtype=torch.int64))
    chosen: list[ImageSet] = []
    for image_id in image_ids:
        part, position = split_image_id(image_id)
        images: ImageSet = getattr(dataset, part)
        if position >= len(images):
            raise DataError(
                f"image id {image_id}: {part} of {dataset.name} has {len(images)} images, "
                f"numbers 0 to {len(images) - 1}; was it captured for another run?"
            )
        chosen.append(images.slice(position, position + 1))
    return join_sets(chosen)


def write_captures(
    captures: CaptureDataset, folder: Path, also: Callable[[Path], None] | None = None
) -> None:
    """Write a capture set as a new folder, whole or not at all.

    Args:
        captures: The set.
        folder: New or empty.
        also: Writes more into the folder that it is given, such as figures.

    Raises:
        ArtefactError: The folder exists and is not empty, or cannot be written.
    """
    refuse_taken(folder)
    missing = [parent for parent in folder.parents if not parent.exists()]
    try:
        with scratch_folder(folder) as part:
            names = [*ARRAYS, *(() if captures.measured is None else ("measured",))]
            write_arrays(part / "captures.npz", **{name: getattr(captures, name) for name in names})
            if captures.psfs is not None:
                write_arrays(part / "psfs.npz", psfs=captures.psfs)
            write_json(part / "captures.json", captures.notes)
            if also is not None:
                also(part)
            put_new_folder(part, folder)
    except OSError as error:
        refuse_taken(folder)  # by another command, meanwhile
        raise ArtefactError(f"cannot write {folder}: {error.strerror or error}") from None
    finally:
        for parent in missing:
            with suppress(OSError):  # it holds the set
                parent.rmdir()


def refuse_taken(folder: Path) -> None:
    """Refuse a folder that holds something already.

    Raises:
        ArtefactError: It is a file, or is not empty.
    """
    if is_taken(folder):
        raise ArtefactError(f"{folder} exists already; choose another with --out, or remove it")


def is_taken(folder: Path) -> bool:
    """Whether a folder holds something already, or is a file."""
    return folder.is_file() or (folder.is_dir() and any(folder.iterdir()))


def check_origin(
    stated: Mapping[str, Any], wanted: Mapping[str, str | None], what: str, cure: str
) -> None:
    """Refuse what was made for other optics, another student or data set than those of a run.

    Args:
        stated: What it was made for: ``optics`` by name, and hashes by ``dataset``, ``student``
            and ``metasurface``. What it does not state is not compared.
        wanted: Those of the run.
        what: The file or folder, and what was done to it, such as ``x was imported``.
        cure: What the user should do.

    Raises:
        DataError: A hash differs; both are named.
    """
    for kind, name in KINDS.items():
        if kind not in stated or kind not in wanted or stated[kind] == wanted[kind]:
            continue
        one, other = (_name_hash(tree[kind], name) for tree in (stated, wanted))
        raise DataError(f"{what} for {one}, and this run has {other}; {cure}")


def _name_hash(value: Any, name: str) -> str:
    return f"no {name}" if value is None else f"the {name} {str(value)[:SHOWN_DIGITS]}"


def refuse_absent(folder: Path) -> None:
    """Refuse a folder that no import has written.

    Raises:
        ArtefactError: It is not there, or holds no captures.
    """
    if not (folder / "captures.npz").exists():
        raise ArtefactError(
            f"{folder} holds no captures (no captures.npz); make a capture set with: hybridonn "
            "captures import RUN TEMPLATE"
        )


def name_set(folder: Path) -> str:
    """What tells a capture set from all others: the checksum of its captures.

    Raises:
        ArtefactError: There are none, or they cannot be read.
    """
    refuse_absent(folder)
    try:
        return checksum(folder / "captures.npz")
    except OSError as error:
        raise ArtefactError(f"cannot read {folder / 'captures.npz'}: {error.strerror}") from None


def read_captures(folder: Path) -> CaptureDataset:
    """Read a capture set.

    Raises:
        ArtefactError: A file is missing or damaged, or the arrays do not fit one another.
    """
    refuse_absent(folder)
    path = folder / "captures.npz"
    arrays = read_arrays(path)
    if missing := [name for name in ARRAYS if name not in arrays]:
        raise ArtefactError(f"{path} lacks the array {', '.join(missing)}; import it again")
    psfs = folder / "psfs.npz"
    measured_psfs = read_arrays(psfs) if psfs.exists() else {"psfs": None}
    if "psfs" not in measured_psfs:
        raise ArtefactError(f"{psfs} lacks the array psfs; import it again")
    captures = CaptureDataset(
        **{name: arrays[name] for name in ARRAYS},
        psfs=measured_psfs["psfs"],
        notes=read_json(folder / "captures.json"),
        measured=arrays.get("measured"),
    )
    _check(captures, path)
    return captures


def _check(captures: CaptureDataset, path: Path) -> None:
    numbers = {name: getattr(captures, name) for name in ARRAYS[1:]} | {"psfs": captures.psfs}
    for name, array in numbers.items():
        if array is None:
            continue
        if array.ndim == 0:
            raise ArtefactError(f"{path}: {name} is a single number; import it again")
        if array.dtype.kind not in "uif" or not np.isfinite(array).all():
            raise ArtefactError(
                f"{path}: {name} holds {array.dtype} or values that are not finite numbers; import "
                "it again"
            )
    if captures.image_ids.dtype.kind != "U" or captures.image_ids.ndim != 1:
        raise ArtefactError(f"{path}: image_ids are no texts; import it again")
    if not isinstance(captures.notes, dict):
        raise ArtefactError(f"{path.with_name('captures.json')} holds no table; import it again")
    shape, number = captures.positive.shape, len(captures.image_ids)
    measured = captures.measured
    wrong = (
        len(shape) != 4
        or captures.negative.shape != shape
        or (shape[0], len(captures.exposure_s)) != (number, number)
        or captures.gains.shape != (shape[1], 2)
        or captures.quality.shape != (shape[1], 2)
        or not (measured is None or measured.shape == (shape[1], 2, *shape[2:]))
        or not (measured is None or measured.dtype == bool)
        or not (captures.psfs is None or captures.psfs.shape[:2] == (shape[1], 2))
        or not (captures.psfs is None or captures.psfs.ndim == 5)
    )
    if wrong:
        found = ", ".join(f"{name} {getattr(captures, name).shape}" for name in ARRAYS)
        raise ArtefactError(f"{path}: the arrays do not fit one another ({found}); import it again")
