"""Sets of too few or too small images for a spec are refused before any training."""

from __future__ import annotations

from collections.abc import Sequence

from hybridonn.core.errors import DataError
from hybridonn.core.progress import Progress
from hybridonn.data.dataset import Dataset
from hybridonn.data.survey import find_unseen, weigh_classes
from hybridonn.data.transforms.crop import check_crop
from hybridonn.spec import Distillation, Spec, Training
from hybridonn.spec.batches import check_batches

LEAST_TRAINED = 2  # of an estimate's regression, and of any comparison of images


def refuse_dataset(spec: Spec, dataset: Dataset) -> None:
    """Refuse a set with too few or too small images for what the spec asks of them.

    Args:
        spec: What the user states.
        dataset: The set, split.

    Raises:
        DataError: An estimate, a comparison of kernels or an augmentation takes more, or no
            training image holds an object.
    """
    count = len(dataset.student_train)
    if count < LEAST_TRAINED:
        raise DataError(
            f"{dataset.name} has {count} training image{'s' * (count != 1)} for the student; an "
            f"estimate takes at least {LEAST_TRAINED}: get more images, or lower "
            "data.validation_fraction or data.test_fraction"
        )
    if not dataset.task.balance(dataset.student_train.labels, len(dataset.classes)).any():
        raise DataError(
            f"none of the {count} training images of {dataset.name} holds an object, so there is "
            "nothing to learn; choose another data.split_seed, or get more images with objects"
        )
    for training in (spec.teacher.training, spec.training):
        check_crop(training.augmentation, *dataset.image_shape[1:])
    methods = (spec.distillation.method,)
    _refuse_few(spec.distillation, methods, spec.training, count, "training images")
    if spec.compensation is not None:
        stated = spec.compensation
        share = min(stated.fraction, *stated.fractions, 1.0) * (1 - stated.held_out_fraction)
        few = round(share * count)
        parts = stated.distillation, stated.trained, stated.training
        _refuse_few(*parts, few, "captures", "compensation.")


def say_unseen(dataset: Dataset, progress: Progress) -> None:
    """Say which classes no image of a part shows: scores leave them out.

    Args:
        dataset: The set, split.
        progress: Shows it.
    """
    parts = {"train": dataset.student_train, "validation": dataset.validation}
    parts["test"] = dataset.test
    for said in find_unseen(weigh_classes(parts, dataset.classes, dataset.task)):
        progress.say(f"{dataset.name}: {said}")


def _refuse_few(
    distillation: Distillation,
    methods: Sequence[str],
    training: Training,
    count: int,
    what: str,
    where: str = "",
) -> None:
    if not count:
        return  # refused elsewhere, with the fraction that would do
    try:
        check_batches(training, distillation, methods, where, count, what)
    except ValueError as error:
        raise DataError(str(error)) from None
