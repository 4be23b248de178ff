"""Labels that are classes, of images or of pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from hybridonn.core.errors import DataError

_CHUNK = 1000  # images at a time: bounded memory for any set


def check_classes(labels: Tensor, classes: int, what: str = "labels") -> None:
    """Refuse labels that are no classes.

    Args:
        labels: Labels in an array of any shape.
        classes: Number of classes; labels go from 0 to one less.
        what: What the message calls them, in the plural.

    Raises:
        DataError: They are no integers, or name no class.
    """
    if labels.is_floating_point() or labels.is_complex():
        raise DataError(f"{what} are {labels.dtype}; they must be integers from 0 up")
    if not labels.numel():
        return
    least, most = int(labels.min()), int(labels.max())
    if least < 0 or most >= classes:
        raise DataError(
            f"{what} go from {least} to {most}, but there are {classes} classes; allowed is 0 to "
            f"{classes - 1}"
        )


def check_pairs(predicted: Tensor, labels: Tensor, classes: int) -> None:
    """Refuse predicted and true classes of which one cannot be compared with the other.

    Args:
        predicted: Classes, (N, ...).
        labels: Classes of the same images or pixels, (N, ...).
        classes: Number of classes.

    Raises:
        DataError: The shapes differ, or a value names no class.
    """
    if predicted.shape != labels.shape:
        raise DataError(
            f"there are predictions of shape {tuple(predicted.shape)} for labels of shape "
            f"{tuple(labels.shape)}; each label needs one"
        )
    check_classes(labels, classes)
    check_classes(predicted, classes, "predictions")


def count_shares(labels: Tensor, classes: int) -> Tensor:
    """The share of all labels that each class has, (classes,), float64.

    Args:
        labels: Classes of images or pixels, (N, ...).
        classes: Number of classes.
    """
    counts = torch.zeros(classes, dtype=torch.int64)
    for chunk in labels.split(_CHUNK):
        counts += torch.bincount(chunk.flatten(), minlength=classes)
    return counts.double() / labels.numel()


def share_equal(labels: Tensor) -> Tensor:
    """The share of equal entries of each two samples' labels, (B, B) float32.

    Args:
        labels: Classes, (B, ...).
    """
    flat = labels.reshape(len(labels), -1)
    indicators = [(flat == value).float() for value in flat.unique()]
    return torch.stack([one @ one.T for one in indicators]).sum(0) / flat.shape[1]
