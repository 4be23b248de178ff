"""A network's answers pixel by pixel, and how well they cover the truth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from hybridonn.reports.statistics import mean_interval

if TYPE_CHECKING:
    from hybridonn.tasks.iou import Overlap


@dataclass(frozen=True)
class MaskPredictions:
    """A network's masks of the test set.

    Attributes:
        labels: True classes of the pixels, (N, H, W).
        predicted: Classes that the network gives them, (N, H, W).
        classes: How many there are.
    """

    labels: np.ndarray
    predicted: np.ndarray
    classes: int
    metric = "mIoU"

    @property
    def total(self) -> int:
        """How many test images there are."""
        return len(self.labels)

    @cached_property
    def overlap(self) -> Overlap:
        """Intersections and unions of answer and truth."""
        import torch

        from hybridonn.tasks.iou import measure_overlap

        predicted, labels = (torch.from_numpy(one) for one in (self.predicted, self.labels))
        return measure_overlap(predicted, labels, self.classes)

    @cached_property
    def scores(self) -> np.ndarray:
        """Each image's mean over its classes, (N,)."""
        return self.overlap.scores.numpy()

    @property
    def value(self) -> float:
        """The metric of the task: the mIoU over images and classes."""
        return float(self.scores.mean())

    @property
    def whole(self) -> np.ndarray:
        """Value of each class over the pixels of the whole set, (classes,); NaN: it is nowhere."""
        return self.overlap.pooled.numpy()

    @property
    def by_class(self) -> np.ndarray:
        """Mean of each class over the images that hold it, (classes,); NaN: none does."""
        return self.overlap.by_class.numpy()

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the mIoU, for independent test images."""
        return mean_interval(self.scores)


@dataclass(frozen=True)
class Overlays:
    """The test images that the report shows with their masks.

    Attributes:
        scenes: (M, C, H, W), in [0, 1].
        positions: Which test images they are, (M,).
        reasons: Why each was chosen, in words.
    """

    scenes: np.ndarray
    positions: np.ndarray
    reasons: tuple[str, ...]
