"""Intersection over union of masks: the one definition of tasks and reports."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Overlap:
    """How answers and truth cover each other.

    Attributes:
        intersection: Pixels that have a class in truth and in answer, (N, classes), int64.
        union: Pixels that have it in either, (N, classes), int64.
    """

    intersection: Tensor
    union: Tensor

    @property
    def shares(self) -> Tensor:
        """Intersection over union of each image and class, (N, classes); NaN: in neither."""
        return _divide(self.intersection, self.union)

    @property
    def scores(self) -> Tensor:
        """Mean over the classes that an image holds in truth or answer, (N,).

        Their mean over images is the mIoU of Xiang et al. 2025, over images and classes.
        """
        return self.shares.nanmean(1)

    @property
    def by_class(self) -> Tensor:
        """Mean of each class over the images that hold it, (classes,); NaN: none does."""
        return self.shares.nanmean(0)

    @property
    def pooled(self) -> Tensor:
        """Intersection over union of each class over all pixels of the set, (classes,).

        Intersections and unions are added over all images before they are divided, as
        Cityscapes and COCO-Stuff do: large objects weigh more. NaN: the class is nowhere.
        """
        return _divide(self.intersection.sum(0), self.union.sum(0))


def measure_overlap(predicted: Tensor, labels: Tensor, classes: int) -> Overlap:
    """Count intersections and unions of each image and class.

    Args:
        predicted: Classes, (N, H, W).
        labels: Classes, (N, H, W).
        classes: How many there are.
    """
    pairs = [(predicted == c, labels == c) for c in range(classes)]
    return Overlap(
        torch.stack([(a & b).sum((1, 2)) for a, b in pairs], 1),
        torch.stack([(a | b).sum((1, 2)) for a, b in pairs], 1),
    )


def _divide(intersection: Tensor, union: Tensor) -> Tensor:
    return torch.where(union > 0, intersection.double() / union, torch.nan)
