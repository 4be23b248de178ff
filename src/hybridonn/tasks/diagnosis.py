"""How well classes are told apart where they differ in size: recalls and the area under the ROC.

An image is of one class or not. Of two classes the second is the positive one, as in MedMNIST;
of more, each class against the others is averaged over classes, all alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hybridonn.core.random import numpy_generator_of

RESAMPLES = 1000
LEAST_RESAMPLES = 200  # of sets so large that a thousand would take long
_WORK = 2e7  # images x classes x resamples: a second


class Diagnosis:
    """Measures of scores, quick to take again with other weights of the images.

    Args:
        scores: Score of each class for each image, (N, classes).
        labels: Classes, (N,).
    """

    def __init__(self, scores: np.ndarray, labels: np.ndarray) -> None:
        self.classes = scores.shape[1]
        self._right = scores.argmax(1) == labels
        self._predicted, self._labels = scores.argmax(1), labels
        self._orders = [_Order(scores[:, k], labels == k) for k in _positives(self.classes)]

    def measure(self, weights: np.ndarray) -> dict[str, float]:
        """Balanced accuracy, sensitivity, specificity and AUC.

        Args:
            weights: How often each image counts, (N,).

        Returns:
            Shares; those of a class without images are left out of the means, and a measure that
            the images do not tell is left out: sensitivity without a positive image, say. Of more
            than two classes the mean sensitivity is the balanced accuracy.
        """
        total = np.bincount(self._labels, weights, self.classes)
        hits = np.bincount(self._labels, weights * self._right, self.classes)
        taken = np.bincount(self._predicted, weights, self.classes)
        with np.errstate(invalid="ignore", divide="ignore"):
            recalls = hits / total
            spared = 1 - (taken - hits) / (total.sum() - total)
        two = self.classes == 2
        found = {
            "balanced_accuracy": recalls,
            "sensitivity": recalls[1:] if two else recalls,
            "specificity": spared[1:] if two else spared,
            "auc": np.array([order.area(weights) for order in self._orders]),
        }
        told = {name: shares[~np.isnan(shares)] for name, shares in found.items()}
        return {name: float(shares.mean()) for name, shares in told.items() if len(shares)}


class _Order:
    """The images in the order of one score."""

    def __init__(self, scores: np.ndarray, positive: np.ndarray) -> None:
        self._order = np.argsort(scores, kind="stable")
        ranked = scores[self._order]
        self._positive = positive[self._order]
        self._first = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])  # of equal scores

    def area(self, weights: np.ndarray) -> float:
        """The share of pairs, positive and negative, that are in order; equal scores count half."""
        ordered = weights[self._order]
        positive = np.add.reduceat(ordered * self._positive, self._first)
        negative = np.add.reduceat(ordered * ~self._positive, self._first)
        pairs = positive.sum() * negative.sum()
        below = negative.cumsum() - negative / 2
        return float((positive * below).sum() / pairs) if pairs else np.nan


def _positives(classes: int) -> Sequence[int]:
    return (1,) if classes == 2 else range(classes)


def bootstrap(
    diagnosis: Diagnosis, images: int, patients: Sequence[str] | None = None
) -> dict[str, tuple[float, float]]:
    """The 95 % interval of each measure, by the percentiles of resampled images.

    Where patients are known, they are resampled with all their images: images of a patient are
    alike (the cluster bootstrap, Davison and Hinkley 1997, section 3.8).

    Args:
        diagnosis: The measures.
        images: Number of images N.
        patients: Whom each image was taken of, N names; None: every image stands alone.
    """
    count = int(np.clip(_WORK / (images * diagnosis.classes), LEAST_RESAMPLES, RESAMPLES))
    generator = numpy_generator_of("bootstrap")
    owner = np.arange(images)
    if patients is not None:
        owner = np.unique(np.array(patients), return_inverse=True)[1]
    units = int(owner.max()) + 1
    drawn = [
        diagnosis.measure(np.bincount(generator.integers(0, units, units), minlength=units)[owner])
        for _ in range(count)
    ]
    values = {
        name: [one[name] for one in drawn if name in one]
        for name in diagnosis.measure(np.ones(images))
    }
    return {
        name: tuple(np.percentile(some, (2.5, 97.5)).tolist())
        for name, some in values.items()
        if some
    }
