"""A network's answers on the test images, read and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hybridonn.core.errors import ArtefactError
from hybridonn.reports.artefacts.masks import MaskPredictions
from hybridonn.reports.artefacts.numbers import is_share
from hybridonn.reports.artefacts.reading import read_arrays, refusal
from hybridonn.reports.statistics import wilson_interval

if TYPE_CHECKING:
    from hybridonn.tasks.task import Task


@dataclass(frozen=True)
class Predictions:
    """A network's answers on the test set.

    Attributes:
        labels: True classes, (N,).
        logits: Outputs, (N, classes).
    """

    labels: np.ndarray
    logits: np.ndarray
    metric = "accuracy"

    @property
    def scores(self) -> np.ndarray:
        """1 where an image is named rightly, else 0: (N,)."""
        return (self.logits.argmax(axis=1) == self.labels).astype(float)

    @property
    def correct(self) -> int:
        """How many test images the network names rightly."""
        return int(self.scores.sum())

    @property
    def total(self) -> int:
        """How many test images there are."""
        return len(self.labels)

    @property
    def accuracy(self) -> float:
        """Share of the test images that the network names rightly."""
        return self.correct / self.total

    @property
    def value(self) -> float:
        """The metric of the task: the accuracy."""
        return self.accuracy

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy."""
        return wilson_interval(self.correct, self.total)


@dataclass(frozen=True)
class Embedding:
    """Test features laid out in the plane.

    Attributes:
        positions: t-SNE coordinates, (M, 2).
        labels: True classes, (M,).
    """

    positions: np.ndarray
    labels: np.ndarray


def read_predictions(path: Path, stage: str, classes: int) -> Predictions:
    """Read answers that are classes.

    Raises:
        ArtefactError: The file is missing or damaged, or does not fit the classes.
    """
    arrays = read_arrays(path, stage, {"labels": 1, "logits": 2})
    predictions = Predictions(arrays["labels"], arrays["logits"])
    if predictions.logits.shape != (predictions.total, classes):
        shape = f"logits {predictions.logits.shape} for {predictions.total} labels"
        raise ArtefactError(refusal(path, stage, f"{shape} and {classes} classes"))
    check_labels(predictions.labels, classes, path, stage)
    return predictions


def read_masks(path: Path, stage: str, classes: int) -> MaskPredictions:
    """Read answers that are masks.

    Raises:
        ArtefactError: The file is missing or damaged, or does not fit the classes.
    """
    arrays = read_arrays(path, stage, {"labels": 3, "predicted": 3})
    masks = MaskPredictions(arrays["labels"], arrays["predicted"], classes)
    if masks.labels.shape != masks.predicted.shape:
        shape = f"masks {masks.predicted.shape} for labels {masks.labels.shape}"
        raise ArtefactError(refusal(path, stage, shape))
    check_labels(masks.labels, classes, path, stage)
    check_labels(masks.predicted, classes, path, stage)
    # torch computes with few of the unsigned kinds; every class fits into one of these.
    kind = np.uint8 if classes <= 256 else np.int64
    labels, predicted = (one.astype(kind, copy=False) for one in (masks.labels, masks.predicted))
    return MaskPredictions(labels, predicted, classes)


def read_answers(path: Path, stage: str, classes: int, task: Task) -> Predictions | MaskPredictions:
    """Read the answers of a network in the form in which its task stores them.

    Raises:
        ArtefactError: The file is missing or damaged, or does not fit the classes.
    """
    read = read_predictions if "logits" in task.stored else read_masks
    return read(path, stage, classes)


def read_embeddings(
    path: Path, stage: str, classes: int, names: tuple[str, ...] = ("positions",)
) -> dict[str, Embedding]:
    """Read t-SNE maps of the same images.

    Args:
        path: The file.
        stage: What writes it.
        classes: How many there are.
        names: Names of the arrays of positions.

    Raises:
        ArtefactError: The file is missing or damaged, or does not fit the classes.
    """
    arrays = read_arrays(path, stage, {"labels": 1} | dict.fromkeys(names, 2))
    check_labels(arrays["labels"], classes, path, stage)
    for name in names:
        if arrays[name].shape != (len(arrays["labels"]), 2):
            shape = f"{name} {arrays[name].shape} for {len(arrays['labels'])} labels"
            raise ArtefactError(refusal(path, stage, shape))
    return {name: Embedding(arrays[name], arrays["labels"]) for name in names}


def check_labels(labels: np.ndarray, classes: int, path: Path, stage: str) -> None:
    """Refuse labels that name no class.

    Raises:
        ArtefactError: They are no integers from 0 to ``classes - 1``.
    """
    if not np.issubdtype(labels.dtype, np.integer):
        raise ArtefactError(refusal(path, stage, f"labels are {labels.dtype}, not integers"))
    if labels.min() < 0 or labels.max() >= classes:
        found = f"labels go from {labels.min()} to {labels.max()}"
        raise ArtefactError(refusal(path, stage, f"{found}; there are {classes} classes"))


def check_metric(
    predictions: Predictions | MaskPredictions,
    numbers: dict[str, Any],
    key: str,
    path: Path,
    name: str,
) -> None:
    """Refuse answers whose metric is not the one that ``results.json`` states.

    Args:
        predictions: The answers.
        numbers: Results of their stage.
        key: Key of the metric.
        path: Where the answers lie.
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
