"""What the stage ``estimate`` leaves for the report."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hybridonn.core.errors import ArtefactError
from hybridonn.reports.artefacts.numbers import is_number
from hybridonn.reports.artefacts.predictions import Predictions
from hybridonn.reports.artefacts.reading import Table, read_arrays, read_table, refusal
from hybridonn.reports.statistics import Difference, score_difference, share_interval

if TYPE_CHECKING:
    from hybridonn.tasks.task import Task

STAGE = "the estimate stage"


@dataclass(frozen=True)
class Estimated:
    """What the stage ``estimate`` leaves behind.

    Attributes:
        task: What the design is for.
        kernels: The setting ``estimate.kernels``; behind optics without drawn kernels the name of
            their estimator.
        method: Kernel and regression, in words.
        curve: ``images`` and the metric, a row for each number of training images.
        value: The metric with all training images, in [0, 1].
        uncertainty: Standard error of the value.
        train_images: How many the regression is fitted to.
        test_images: How many it is tested on.
        positions: Which of the run's test images it is tested on, (N,); None: not kept.
        scores: The metric of each of these images, (N,); None: not kept.
    """

    task: Task
    kernels: str
    method: str
    curve: Table
    value: float
    uncertainty: float
    train_images: int
    test_images: int
    positions: np.ndarray | None = None
    scores: np.ndarray | None = None

    @property
    def estimator(self) -> str:
        """Name of the function that made the estimate."""
        return self.task.estimates[self.kernels].rpartition(":")[-1]

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the estimate, from resampling test and training images."""
        return share_interval(self.value, self.uncertainty, self.test_images)

    def against(self, student: Predictions) -> Difference | None:
        """How far a student is ahead on the estimate's own test images; None: not known."""
        if self.positions is None or self.scores is None:
            return None
        return score_difference(student.scores[self.positions], self.scores)


def read_estimate(folder: Path, numbers: Any, student: Predictions) -> Estimated:
    """Read and check the stage's curve, numbers and scores.

    Args:
        folder: The run.
        numbers: The section ``estimate`` of its results.json.
        student: Predictions of the trained student on all test images.

    Raises:
        ArtefactError: A number or the curve is missing or damaged, or both disagree.
    """
    metric = student.task.metric
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
    kernels, method = str(numbers.get("kernels", "infinite")), str(numbers.get("method", ""))
    if kernels not in student.task.estimates:
        allowed = " or ".join(student.task.estimates) or "no estimate"
        wrong = f"estimate.kernels is {kernels[:40]!r}, and the task of the run has {allowed}"
        raise ArtefactError(refusal(folder / "results.json", "the run itself", wrong))
    found = Estimated(student.task, kernels, method, curve, *(numbers[key] for key in keys))
    scored = _read_scores(folder / "estimate" / "scores.npz", found, student)
    return found if scored is None else replace(found, positions=scored[0], scores=scored[1])


def _read_scores(
    path: Path, estimate: Estimated, student: Predictions
) -> tuple[np.ndarray, np.ndarray] | None:
    """Which test images the estimate is tested on, and its score on each; None: not kept.

    Raises:
        ArtefactError: The file is damaged, or contradicts the student or the numbers.
    """
    if not path.is_file():
        return None
    task = student.task
    shapes = {"labels": task.label_dimensions, "positions": 1, "scores": 1}
    arrays = read_arrays(path, STAGE, shapes, whole=("positions",))
    positions, labels, scores = (arrays[name] for name in ("positions", "labels", "scores"))
    fits = len(positions) == len(labels) == len(scores) > 0
    fits = fits and positions.min() >= 0 and positions.max() < student.total
    if not fits or not np.array_equal(student.labels[positions], labels):
        raise ArtefactError(refusal(path, STAGE, "its test images are not those of the student"))
    if not ((scores >= 0) & (scores <= 1)).all() or abs(scores.mean() - estimate.value) > 1e-3:
        wrong = (
            f"the mean of its scores is {scores.mean():.4f}, and results.json says "
            f"estimate.{task.metric} {estimate.value:.4f}"
        )
        raise ArtefactError(refusal(path, STAGE, wrong))
    return positions, scores
