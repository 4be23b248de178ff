"""A folder of IDX files: images and labels for training and test.

The usual spellings are known: ``train-images-idx3-ubyte``, with a dot for the
dash, with or without ``.gz``, ``t10k`` or ``test`` for the test part, and a
set's name in front (``emnist-letters-train-images-idx3-ubyte.gz``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hybridonn.core.errors import DataError
from hybridonn.data.dataset import ImageSet, UnsplitSet
from hybridonn.data.readers.folders import refuse_same_file
from hybridonn.data.readers.idx import read_images, read_labels

_FILE_NAME = re.compile(
    r"(?P<set>.*?)[-_.]?(?P<part>train|t10k|test)[-_](?P<kind>images|labels)"
    r"[-.]idx\d-[a-z]+(\.gz)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class IdxFiles:
    """The files of one set; without a test part, the last two are None."""

    train_images: Path
    train_labels: Path
    test_images: Path | None = None
    test_labels: Path | None = None


@dataclass(frozen=True)
class _Found:
    path: Path
    set_name: str
    role: str  # a field of IdxFiles


def find_idx_files(folder: Path, variant: str | None = None) -> IdxFiles:
    """Find a folder's IDX files by their usual names.

    A file and its gzipped copy (the same name and ``.gz``) are one file, of
    which the plain one is read.

    Args:
        folder: Where to look; folders within it are not searched.
        variant: Which of several sets: its name (what stands before ``train``,
            ``t10k`` or ``test`` in the file names), or a part of it; an empty text
            is the set whose files carry no name.

    Raises:
        DataError: The folder or one of its files is missing, or several sets
            or files fit.
    """
    found = _list_files(folder)
    sets = sorted({file.set_name for file in found})
    if variant is not None:
        exact = [name for name in sets if name == variant]
        sets = exact or [name for name in sets if variant in name]
    if not sets:
        raise DataError(_nothing_fits(folder, variant, found))
    files = [file for file in found if file.set_name in sets]
    if len(sets) > 1:
        fitting = "" if variant is None else f" that fit data.variant: {variant}"
        raise DataError(
            f"{folder} holds {len(sets)} sets{fitting}: {_list_names(files)}; "
            "set data.variant to one of them"
        )
    return _assign(folder, files)


def read_idx_folder(folder: Path, variant: str | None = None) -> UnsplitSet:
    """Read the set that a folder of IDX files holds.

    It is named after its files, or after the folder where they carry no name.

    Raises:
        DataError: See :func:`find_idx_files` and :func:`read_idx_files`.
    """
    files = find_idx_files(folder, variant)
    set_name = _parse(files.train_images)
    name = set_name.set_name if set_name else ""
    return read_idx_files(files, name or folder.resolve().name)


def read_idx_files(files: IdxFiles, name: str) -> UnsplitSet:
    """Read the files of one set.

    The classes are the numbers from the smallest label to the largest, named
    by these numbers; label 0 of the result is the smallest.

    Raises:
        DataError: A file is damaged, images and labels do not go together, the
            parts differ in size of image, or a class is empty.
    """
    named = (files.train_images, files.train_labels, files.test_images, files.test_labels)
    refuse_same_file([path for path in named if path is not None])
    images, labels = _read_part(files.train_images, files.train_labels)
    numbers = _number_classes(labels, files.train_labels)
    test = None
    if files.test_images and files.test_labels:
        test_images, test_labels = _read_part(files.test_images, files.test_labels)
        _check_test_part(files, images, test_images, numbers, test_labels)
        test = _to_set(test_images, test_labels, numbers[0])
    classes = tuple(str(number) for number in numbers)
    return UnsplitSet(name, classes, _to_set(images, labels, numbers[0]), test)


def _list_files(folder: Path) -> list[_Found]:
    try:
        paths = sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise DataError(f"cannot read the folder {folder}: {error.strerror or error}") from None
    names = {path.name for path in paths}
    plain = [path for path in paths if path.suffix != ".gz" or path.stem not in names]
    return [found for path in plain if (found := _parse(path))]


def _parse(path: Path) -> _Found | None:
    match = _FILE_NAME.fullmatch(path.name)
    if match is None:
        return None
    part = "train" if match["part"].lower() == "train" else "test"
    return _Found(path, match["set"], f"{part}_{match['kind'].lower()}")


def _nothing_fits(folder: Path, variant: str | None, found: list[_Found]) -> str:
    if not found:
        return (
            f"{folder} holds no IDX files; looked for names like train-images-idx3-ubyte.gz "
            "and train-labels-idx1-ubyte.gz"
        )
    return f"{folder} holds no set that fits data.variant: {variant}; it holds {_list_names(found)}"


def _list_names(found: list[_Found]) -> str:
    return ", ".join(name or '""' for name in sorted({file.set_name for file in found}))


def _assign(folder: Path, files: list[_Found]) -> IdxFiles:
    by_role: dict[str, Path] = {}
    for file in files:
        if file.role in by_role:
            raise DataError(
                f"{folder} holds two files for {file.role.replace('_', ' ')}: "
                f"{by_role[file.role].name} and {file.path.name}; keep only one of them there"
            )
        by_role[file.role] = file.path
    _check_complete(folder, by_role)
    return IdxFiles(**by_role)


def _check_complete(folder: Path, by_role: dict[str, Path]) -> None:
    needed = ["train_images", "train_labels"]
    if by_role.keys() & {"test_images", "test_labels"}:
        needed += ["test_images", "test_labels"]
    missing = [role for role in needed if role not in by_role]
    if missing:
        held = ", ".join(path.name for path in by_role.values())
        usual = " and ".join(_usual_name(role) for role in missing)
        raise DataError(f"{folder} holds {held}, but not {usual} (or another usual spelling)")


def _usual_name(role: str) -> str:
    part, kind = role.split("_")
    rank = 3 if kind == "images" else 1
    return f"{'train' if part == 'train' else 't10k'}-{kind}-idx{rank}-ubyte.gz"


def _read_part(images_path: Path, labels_path: Path) -> tuple[np.ndarray, np.ndarray]:
    images, labels = read_images(images_path), read_labels(labels_path)
    if len(images) != len(labels):
        raise DataError(
            f"{images_path} holds {len(images)} images, but {labels_path} holds "
            f"{len(labels)} labels; they must go together"
        )
    return images, labels


def _number_classes(labels: np.ndarray, path: Path) -> np.ndarray:
    numbers = np.unique(labels)
    gaps = np.flatnonzero(np.diff(numbers) > 1)
    if len(gaps):
        raise DataError(
            f"class {numbers[gaps[0]] + 1} is empty: {path} holds labels from {numbers[0]} to "
            f"{numbers[-1]}, but none of this class; number the classes without a gap"
        )
    if len(numbers) < 2:
        raise DataError(f"{path} holds the one class {numbers[0]}; there must be at least 2")
    return numbers


def _check_test_part(
    files: IdxFiles,
    images: np.ndarray,
    test_images: np.ndarray,
    numbers: np.ndarray,
    test_labels: np.ndarray,
) -> None:
    if images.shape[1:] != test_images.shape[1:]:
        raise DataError(
            f"{files.train_images} holds images of {images.shape[1]} x {images.shape[2]} pixels, "
            f"but {files.test_images} of {test_images.shape[1]} x {test_images.shape[2]}"
        )
    odd = np.setxor1d(numbers, test_labels)
    if len(odd):
        without = files.test_labels if odd[0] in numbers else files.train_labels
        raise DataError(
            f"class {odd[0]} is empty in {without}, but not in the set's other part; "
            "training and test part must have the same classes"
        )


def _to_set(images: np.ndarray, labels: np.ndarray, first: int) -> ImageSet:
    return ImageSet(torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels - first))
