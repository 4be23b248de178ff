"""A network's answers pixel by pixel, and how well they cover the truth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hybridonn.reports.statistics import mean_interval


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
    def counts(self) -> tuple[np.ndarray, np.ndarray]:
        """Pixels of intersection and of union of each image and class, two (N, classes)."""
        pairs = [(self.predicted == c, self.labels == c) for c in range(self.classes)]
        overlap = np.stack([(a & b).sum((1, 2)) for a, b in pairs], 1)
        return overlap, np.stack([(a | b).sum((1, 2)) for a, b in pairs], 1)

    @cached_property
    def shares(self) -> np.ndarray:
        """Intersection over union of each image and class; NaN: in neither truth nor answer."""
        overlap, union = self.counts
        return np.where(union > 0, overlap / np.maximum(union, 1), np.nan)

    @cached_property
    def scores(self) -> np.ndarray:
        """Each image's mean over its classes, (N,)."""
        return np.nanmean(self.shares, 1)

    @property
    def value(self) -> float:
        """The metric of the task: the mIoU over images and classes."""
        return float(self.scores.mean())

    @property
    def whole(self) -> np.ndarray:
        """Of each class over the pixels of the whole set, (classes,); NaN: it is nowhere."""
        overlap, union = (one.sum(0) for one in self.counts)
        return np.where(union > 0, overlap / np.maximum(union, 1), np.nan)

    @property
    def by_class(self) -> np.ndarray:
        """Of each class the mean over the images that hold it, (classes,); NaN: none does."""
        count = np.isfinite(self.shares).sum(0)
        return np.where(count > 0, np.nansum(self.shares, 0) / np.maximum(count, 1), np.nan)

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
