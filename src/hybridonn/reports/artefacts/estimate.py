"""What the stage ``estimate`` leaves for the report."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hybridonn.core.errors import ArtefactError
from hybridonn.reports.artefacts.masks import MaskPredictions
from hybridonn.reports.artefacts.numbers import is_number
from hybridonn.reports.artefacts.predictions import Predictions, check_labels
from hybridonn.reports.artefacts.reading import Table, read_arrays, read_table, refusal
from hybridonn.reports.artefacts.task import find_task, label_metric
from hybridonn.reports.statistics import Difference, score_difference, share_interval

STAGE = "the estimate stage"


Answers = Predictions | MaskPredictions


@dataclass(frozen=True)
class Estimated:
    """What the stage ``estimate`` leaves behind.

    Attributes:
        curve: ``images`` and the metric, a row for each number of training images.
        accuracy: With all training images, in [0, 1]; of masks the mIoU.
        uncertainty: Its standard error.
        train_images: How many the regression is fitted to.
        test_images: How many it is tested on.
        infinite: Whether the kernel knows nothing of the number of optical kernels.
        metric: ``accuracy``, or ``miou`` of masks.
        positions: Which of the run's test images it is tested on, (N,); None: not kept.
        scores: The metric of each of these images, (N,); None: not kept.
    """

    curve: Table
    accuracy: float
    uncertainty: float
    train_images: int
    test_images: int
    infinite: bool
    metric: str = "accuracy"
    positions: np.ndarray | None = None
    scores: np.ndarray | None = None

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the estimate, from resampling test and training images."""
        return share_interval(self.accuracy, self.uncertainty, self.test_images)

    def against(self, student: Answers) -> Difference | None:
        """How far a student is ahead on the estimate's own test images; None: not known."""
        if self.positions is None or self.scores is None:
            return None
        return score_difference(student.scores[self.positions], self.scores)

    @property
    def label(self) -> str:
        """What the metric is called."""
        return label_metric(self.metric)


def read_estimate(folder: Path, numbers: Any, student: Answers) -> Estimated:
    """Read and check the stage's curve, numbers and answers.

    Args:
        folder: The run.
        numbers: The section ``estimate`` of its results.json.
        student: Answers of the trained student on all test images.

    Raises:
        ArtefactError: A number or the curve is missing or damaged, or both disagree.
    """
    metric = find_task(numbers if isinstance(numbers, dict) else ()).metric
    keys = (metric, "uncertainty", "train_images", "test_images")
    for key in keys:
        value = numbers.get(key) if isinstance(numbers, dict) else None
        if not is_number(value):
            path = folder / "results.json"
            raise ArtefactError(refusal(path, "the run itself", f"it lacks estimate.{key}"))
    path = folder / "estimate" / "learning_curve.csv"
    curve = read_table(path, STAGE, ("images", metric))
    images, values = curve["images"], curve[metric]
    if not (images > 0).all() or not ((values >= 0) & (values <= 1)).all():
        raise ArtefactError(
            refusal(path, STAGE, f"images must be above 0 and {metric} between 0 and 1")
        )
    last = values[images.argmax()]
    if abs(last - numbers[metric]) > 1e-3:
        found = (
            f"its last {metric} is {last:.4f}, and results.json says "
            f"estimate.{metric} {numbers[metric]:.4f}"
        )
        raise ArtefactError(refusal(path, STAGE, found))
    infinite = numbers.get("kernels", "infinite") == "infinite"
    found = Estimated(curve, *(numbers[key] for key in keys), infinite=infinite, metric=metric)
    answers = _read_answers(folder / "estimate" / "predictions.npz", found, student)
    return found if answers is None else replace(found, positions=answers[0], scores=answers[1])


def _read_answers(
    path: Path, estimate: Estimated, student: Answers
) -> tuple[np.ndarray, np.ndarray] | None:
    """Which test images the estimate is tested on, and its score on each; None: not kept.

    Raises:
        ArtefactError: The file is damaged, or contradicts the student or the numbers.
    """
    if not path.is_file():
        return None
    masks = isinstance(student, MaskPredictions)
    dimensions = 3 if masks else 1
    shapes = {"labels": dimensions, "predicted": dimensions}
    whole = (*shapes, "positions")
    arrays = read_arrays(path, STAGE, shapes, optional={"positions": 1}, whole=whole)
    if "positions" not in arrays:  # of an earlier version
        return None
    positions, labels = arrays["positions"], arrays["labels"]
    fits = len(positions) == len(labels) and labels.shape == arrays["predicted"].shape
    fits = fits and positions.min() >= 0 and positions.max() < student.total
    if not fits or not np.array_equal(student.labels[positions], labels):
        raise ArtefactError(refusal(path, STAGE, "its test images are not those of the student"))
    if isinstance(student, MaskPredictions):
        check_labels(arrays["predicted"], student.classes, path, STAGE)
        scores = MaskPredictions(labels, arrays["predicted"], student.classes).scores
    else:
        scores = (arrays["predicted"] == labels).astype(float)
    if abs(float(scores.mean()) - estimate.accuracy) > 1e-3 + 1 / len(scores):
        found = (
            f"its {estimate.metric} is {scores.mean():.4f}, and results.json says "
            f"estimate.{estimate.metric} {estimate.accuracy:.4f}"
        )
        raise ArtefactError(refusal(path, STAGE, found))
    return positions, scores
