"""The task as a training states its loss: smoothing, focal exponent, weights of the classes."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from hybridonn import spec
from hybridonn.core.errors import SpecError
from hybridonn.tasks.task import Task, make_task


def make_trained_task(
    name: str, training: spec.Training, labels: Tensor, classes: int, where: str = "training"
) -> Task:
    """The task of a name with the loss that a training states.

    Args:
        name: Name of the task.
        training: Settings of the training.
        labels: Labels of its training images, (N, ...), by which classes are balanced.
        classes: Number of classes.
        where: The key of the training in the spec, for messages.

    Raises:
        SpecError: Not one weight a class is stated, or a class to balance has no label.
    """
    stated = {
        "focal_gamma": training.focal_gamma,
        "class_weights": weigh_classes(name, training, labels, classes, where),
    }
    return make_task(name, training.label_smoothing, **{k: v for k, v in stated.items() if v})


def weigh_classes(
    name: str, training: spec.Training, labels: Any, classes: int, where: str
) -> tuple[float, ...] | None:
    """The weight of each class; None: all alike. Arguments are those of :func:`make_trained_task`.

    Balanced weights are ``1 / (classes share)``: their mean over the labels is one.

    Raises:
        SpecError: Not one weight a class is stated, or a class to balance has no label.
    """
    stated = training.class_weights
    if stated is None:
        return None
    if stated != "balanced":
        if len(stated) != classes:
            raise SpecError(
                f"{where}.class_weights states {len(stated)} weights for {classes} classes; state "
                "one for each class, or balanced"
            )
        return tuple(stated)
    shares = make_task(name).balance(labels, classes).tolist()
    if 0 in shares:
        raise SpecError(
            f"{where}.class_weights is balanced, but no label is of class {shares.index(0)}; state "
            "the weights, or leave them out"
        )
    return tuple(1 / (classes * share) for share in shares)
