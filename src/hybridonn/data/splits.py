"""Images split for training, validation and test, class by class, by seed.

Every image gets a random key; in each class the images are ordered by their
keys. The first of a class are for testing, the next for validation, the rest
for training, and the first of these are the student's. So the parts are
disjoint, and a student's smaller set lies within its larger one.

Where images have no class, the task says which groups are split as classes are. Where a set says
whom its images were taken of, all images of a patient go into one part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from hybridonn.core.errors import DataError
from hybridonn.core.random import sorting_keys
from hybridonn.data.dataset import Dataset, ImageSet, UnsplitSet, hash_parts
from hybridonn.spec import Data
from hybridonn.tasks.strata import Strata
from hybridonn.tasks.task import Task


@dataclass(frozen=True)
class Split:
    """Positions of images, each part in rising order, (n,), int64.

    Attributes:
        train: For the teacher.
        student_train: For the student: ``train`` or a part of it.
        validation: For early stopping.
        test: For the reported numbers; empty where the set has its own test part.
    """

    train: np.ndarray
    student_train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def split_set(unsplit: UnsplitSet, settings: Data, task: Task) -> Dataset:
    """Split a set as the spec states.

    Args:
        unsplit: The set.
        settings: Fractions, number of the student's images, and the seed.
        task: What its labels are for.

    Raises:
        DataError: The labels are not those of the task; see also :func:`split_labels`.
    """
    for part in unsplit.parts().values():
        task.check_labels(part.labels, part.images, len(unsplit.classes))
    images = unsplit.images
    strata = task.stratify(images.labels, unsplit.classes)
    with_test, with_validation = unsplit.test is None, unsplit.validation is None
    known, whole = images.patients, unsplit.test and unsplit.validation
    divide = partial(split_patients, known) if known and not whole else _split_strata
    split = divide(strata, settings, with_test=with_test, with_validation=with_validation)
    train = images if len(split.train) == len(images) else images.take(_positions(split.train))
    # The student's images are the very same memory where they are all of them.
    whole = len(split.student_train) == len(split.train)
    parts: dict[str, ImageSet] = {
        "train": train,
        "student_train": train if whole else images.take(_positions(split.student_train)),
        "validation": unsplit.validation or images.take(_positions(split.validation)),
        "test": unsplit.test or images.take(_positions(split.test)),
    }
    return Dataset(
        name=unsplit.name,
        classes=unsplit.classes,
        task=task,
        checksum=hash_parts(unsplit.classes, parts),
        skipped=unsplit.skipped,
        **parts,
    )


def _split_strata(
    strata: Strata, settings: Data, *, with_test: bool, with_validation: bool
) -> Split:
    names = strata.names
    return split_labels(
        strata.groups, names, settings, with_test=with_test, with_validation=with_validation
    )


def split_labels(
    labels: np.ndarray,
    classes: tuple[str, ...],
    settings: Data,
    *,
    with_test: bool,
    with_validation: bool = True,
    of: str = "images",
) -> Split:
    """Split images by their labels, every class in the same proportion.

    Each part gets its share of each class, rounded by largest remainder, and at
    least one image of each class. The result depends on the labels and the
    settings alone, on every machine.

    A student's set of ``train_images`` lies within every larger one, up to
    rounding: where classes differ in size, a class's share can shrink by one
    image as the total grows (the Alabama paradox of largest remainders).

    Args:
        labels: Class of each image, (N,), integers from 0.
        classes: Names of the classes.
        settings: Fractions, number of the student's images, and the seed.
        with_test: Split off a test part as well.
        with_validation: Split off a validation part.
        of: What is split, in the plural, for messages.

    Raises:
        DataError: A class has too few images for one in each part, or
            ``train_images`` is more than there are or less than one a class.
    """
    orders = shuffle_classes(labels, len(classes), settings.split_seed)
    _check_counts(orders, classes, of, with_test=with_test, with_validation=with_validation)
    test_fraction = settings.test_fraction if with_test else 0.0
    validation_fraction = settings.validation_fraction if with_validation else 0.0
    test, orders = _split_off(orders, test_fraction, others=1 + with_validation)
    validation, orders = _split_off(orders, validation_fraction, others=1)
    student = _pick(orders, settings.train_images)
    return Split(_join(orders), _join(student), _join(validation), _join(test))


def split_patients(
    patients: Sequence[str],
    strata: Strata,
    settings: Data,
    *,
    with_test: bool,
    with_validation: bool,
) -> Split:
    """Split images so that no patient has images in two parts.

    Patients are split as :func:`split_labels` splits images; a patient with images of several
    classes counts for the one that the fewest patients have, so that rare classes reach every
    part. ``train_images`` counts images, chosen among those of the training patients.

    Args:
        patients: Whom each image was taken of, N names.
        strata: The class of each image.
        settings: Fractions, of patients; number of the student's images, and the seed.
        with_test: Split off a test part as well.
        with_validation: Split off a validation part as well.

    Raises:
        DataError: A class has too few patients for one in each part; see :func:`split_labels`.
    """
    names, owner = np.unique(np.array(patients), return_inverse=True)
    has = np.zeros((len(names), len(strata.names)), dtype=bool)
    has[owner, strata.groups] = True
    rarest = np.argmin(np.where(has, has.sum(0), len(names) + 1), axis=1)
    present, groups = np.unique(rarest, return_inverse=True)
    kinds = tuple(strata.names[index] for index in present)
    every = settings.model_copy(update={"train_images": None})
    split = split_labels(
        *(groups, kinds, every),
        with_test=with_test,
        with_validation=with_validation,
        of="patients",
    )
    train, validation, test = (
        np.flatnonzero(np.isin(owner, some)) for some in (split.train, split.validation, split.test)
    )
    _check_classes(strata, {"training": train, "validation": validation, "test": test})
    orders = shuffle_classes(strata.groups, len(strata.names), settings.split_seed)
    orders = [order[np.isin(order, train)] for order in orders]
    return Split(train, _join(_pick(orders, settings.train_images)), validation, test)


def _check_classes(strata: Strata, parts: Mapping[str, np.ndarray]) -> None:
    for part, positions in parts.items():
        held = set(strata.groups[positions].tolist())
        for group, name in enumerate(strata.names):
            if len(positions) and group not in held:
                raise DataError(
                    f"class {name} has no image among the {part} patients: too few patients have "
                    "images of it; change data.split_seed, or add patients"
                )


def thin(part: ImageSet, strata: Strata, number: int | None, seed: int) -> ImageSet:
    """A part of a set with every group in the same proportion, or all of a smaller set.

    Args:
        part: Images with labels.
        strata: Their groups.
        number: Images to keep; None: all.
        seed: Seed of the choice; a smaller choice lies within a larger one, up to rounding.

    Raises:
        DataError: ``number`` is less than one image a group.
    """
    if number is None or number >= len(part):
        return part
    return part.take(draw_positions(strata, number, seed))


def draw_positions(strata: Strata, number: int | None, seed: int) -> Tensor:
    """Positions of images, every group in the same proportion, rising, (n,) int64.

    Arguments are those of :func:`thin`.

    Raises:
        DataError: ``number`` is less than one image a group.
    """
    if number is None or number >= len(strata.groups):
        return torch.arange(len(strata.groups))
    if number < len(strata.names):
        raise DataError(
            f"{number} images are too few for {len(strata.names)} {strata.kind}; take one of each"
        )
    orders = shuffle_classes(strata.groups, len(strata.names), seed)
    return _positions(_join(_pick(orders, number)))


def shuffle_classes(labels: np.ndarray, classes: int, seed: int) -> list[np.ndarray]:
    """The positions of each class's images, in an order drawn from the seed."""
    order = np.argsort(sorting_keys(len(labels), seed), kind="stable")
    return [order[labels[order] == number] for number in range(classes)]


def apportion(counts: np.ndarray, total: int) -> np.ndarray:
    """Share ``total`` among classes in proportion to their counts, one at least to each.

    Shares are rounded by largest remainder (Hamilton's method): quota
    ``q_c = total n_c / sum(n)``, each class gets ``floor(q_c)``, and the classes
    with the largest ``q_c - floor(q_c)`` one more; of equal ones, the first.
    Classes that would get none get one, and the others share the rest.

    Args:
        counts: Images of each class, all positive.
        total: Images to share, from the number of classes to ``sum(counts)``.
    """
    weight = int(counts.sum())
    shares, remainders = np.divmod(counts.astype(np.int64) * total, weight)
    largest = np.argsort(-remainders, kind="stable")[: total - int(shares.sum())]
    shares[largest] += 1
    none = shares == 0
    if none.any():
        shares[none] = 1
        shares[~none] = apportion(counts[~none], total - int(none.sum()))
    return shares


def _check_counts(
    orders: list[np.ndarray],
    classes: tuple[str, ...],
    of: str,
    *,
    with_test: bool,
    with_validation: bool,
) -> None:
    names = ["training", *["validation"] * with_validation, *["test"] * with_test]
    parts = len(names)
    for name, order in zip(classes, orders, strict=True):
        if len(order) == 0:
            raise DataError(f"class {name} is empty: none of the {of} belongs to it")
        if len(order) < parts:
            raise DataError(
                f"class {name} has {len(order)} of the {of} to split; it needs at least {parts}, "
                f"one each for {' and '.join(names)}"
            )


def _split_off(
    orders: list[np.ndarray], fraction: float, others: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Take a fraction from the front of each class, and leave one image for each other part."""
    if fraction == 0:
        return [order[:0] for order in orders], orders
    counts = np.array([len(order) for order in orders])
    total = max(round(fraction * int(counts.sum())), len(counts))
    shares = np.minimum(apportion(counts, total), counts - others)
    pairs = list(zip(orders, shares, strict=True))
    return [order[:share] for order, share in pairs], [order[share:] for order, share in pairs]


def _pick(orders: list[np.ndarray], number: int | None) -> list[np.ndarray]:
    counts = np.array([len(order) for order in orders])
    if number is None:
        return orders
    if not len(counts) <= number <= counts.sum():
        raise DataError(
            f"data.train_images is {number}; it must be from {len(counts)} (one a class) to "
            f"{counts.sum()} (all training images), or null for all"
        )
    shares = apportion(counts, number)
    return [order[:share] for order, share in zip(orders, shares, strict=True)]


def _join(orders: list[np.ndarray]) -> np.ndarray:
    return np.sort(np.concatenate(orders))


def _positions(indices: np.ndarray) -> Tensor:
    return torch.from_numpy(indices.astype(np.int64))
