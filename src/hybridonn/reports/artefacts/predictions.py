"""A network's predictions on the test images, read and checked: one record for every task."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hybridonn.core.errors import ArtefactError, DataError
from hybridonn.reports.artefacts.numbers import is_share
from hybridonn.reports.artefacts.reading import read_arrays, refusal
from hybridonn.reports.statistics import score_interval

if TYPE_CHECKING:
    from torch import Tensor

    from hybridonn.tasks.task import Task


@dataclass(frozen=True)
class Predictions:
    """A network's predictions on test images.

    Attributes:
        task: What the network is for.
        labels: What is true of each image, (N, ...).
        predicted: What the network says of it, in the same form, (N, ...).
        classes: Number of classes.
    """

    task: Task
    labels: np.ndarray
    predicted: np.ndarray
    classes: int

    @property
    def total(self) -> int:
        """How many test images there are."""
        return len(self.labels)

    @cached_property
    def scores(self) -> np.ndarray:
        """The metric of each image, (N,), float64."""
        pair = as_tensor(self.predicted), as_tensor(self.labels)
        return self.task.score_predicted(*pair, self.classes).double().numpy()

    @property
    def value(self) -> float:
        """The metric of the task, the mean over images."""
        return float(self.scores.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the metric, for independent test images."""
        return score_interval(self.scores, whole=self.task.whole)


def read_predictions(path: Path, stage: str, classes: int, task: Task) -> Predictions:
    """Read the predictions of a network from what its task stores of them.

    Args:
        path: The file.
        stage: What writes it.
        classes: Number of classes.
        task: What the network is for.

    Raises:
        ArtefactError: The file is missing or damaged, or does not fit the task or the classes.
    """
    arrays = read_arrays(path, stage, {"labels": task.label_dimensions, **task.stored})
    stored = {name: as_tensor(arrays[name]) for name in task.stored}
    try:
        predicted = task.read_back(stored, classes).numpy()
    except DataError as error:
        raise ArtefactError(refusal(path, stage, str(error))) from None
    return check_predictions(Predictions(task, arrays["labels"], predicted, classes), path, stage)


def check_predictions(predictions: Predictions, path: Path, stage: str) -> Predictions:
    """Predictions that fit their labels and their task.

    Raises:
        ArtefactError: They do not.
    """
    pair = as_tensor(predictions.predicted), as_tensor(predictions.labels)
    try:
        predictions.task.check_predicted(*pair, predictions.classes)
    except DataError as error:
        raise ArtefactError(refusal(path, stage, str(error))) from None
    return predictions


def check_metric(
    predictions: Predictions, numbers: dict[str, Any], key: str, path: Path, name: str
) -> None:
    """Refuse predictions whose metric is not the one that ``results.json`` states.

    Args:
        predictions: The predictions.
        numbers: Results of their stage.
        key: Key of the metric.
        path: Where the predictions lie.
        name: Name of the stage.

    Raises:
        ArtefactError: The metric differs or is not stated.
    """
    # Predictions of another run beside these results would make a false report.
    stated = numbers.get(key) if isinstance(numbers, dict) else None
    if stated is None or not is_share(stated):
        raise ArtefactError(
            refusal(path.parents[1] / "results.json", "the run itself", f"it lacks {name}.{key}")
        )
    # One image may sit on a tie that another precision breaks; 0.001 is for rounded results.
    if abs(stated - predictions.value) > 1e-3 + 1 / predictions.total:
        raise ArtefactError(
            refusal(
                path,
                f"the {name} stage",
                f"its {key} is {predictions.value:.4f}, and results.json "
                f"says {name}.{key} {stated:.4f}",
            )
        )


def as_tensor(array: np.ndarray) -> Tensor:
    """An array of a file as a tensor; torch computes with few of the unsigned kinds."""
    import torch

    wide = array.dtype.kind == "u" and array.dtype.itemsize > 1
    return torch.from_numpy(array.astype(np.int64) if wide else array)
