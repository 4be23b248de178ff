"""The test images that a report shows with their masks or boxes, read and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hybridonn.core.errors import ArtefactError, DataError
from hybridonn.reports.artefacts.predictions import Predictions, as_tensor
from hybridonn.reports.artefacts.reading import read_arrays, refusal

if TYPE_CHECKING:
    from hybridonn.tasks.task import Task


@dataclass(frozen=True)
class Overlays:
    """The test images that the report shows with their masks or boxes.

    Attributes:
        scenes: Images, (M, C, H, W), in [0, 1].
        positions: Positions of the images among those of the predictions, (M,).
        reasons: Why each was chosen, in words.
        numbers: Positions of the images in the test set, (M,).
    """

    scenes: np.ndarray
    positions: np.ndarray
    reasons: tuple[str, ...]
    numbers: np.ndarray


def shows_overlays(task: Task) -> bool:
    """Whether the report of a task shows its answers over test images."""
    return bool({"mask_overlays", "box_overlays"} & set(task.sections))


def read_overlays(path: Path, stage: str, predictions: Predictions) -> Overlays:
    """Read the images that were chosen.

    Args:
        path: The file.
        stage: The stage that writes it.
        predictions: Predictions on the images among which it chose.

    Raises:
        ArtefactError: The file is missing or damaged, or its images are not those of the
            predictions.
    """
    shapes, optional = {"scenes": 4, "positions": 1}, {"numbers": 1}
    whole = ("positions", "numbers")
    texts = {"reasons": 1}
    arrays = read_arrays(path, stage, shapes, optional=optional, texts=texts, whole=whole)
    reasons = arrays["reasons"]
    scenes, positions = arrays["scenes"], arrays["positions"]
    numbers = arrays.get("numbers", positions)  # not stated where all test images are predicted
    inside = positions.min() >= 0 and positions.max() < predictions.total
    if not (inside and len(positions) == len(scenes) and _fit(scenes, positions, predictions)):
        found = f"images {scenes.shape} for labels {predictions.labels.shape}"
        raise ArtefactError(refusal(path, stage, found))
    if not reasons.shape == numbers.shape == positions.shape:
        raise ArtefactError(refusal(path, stage, "it lacks a reason or number for each image"))
    return Overlays(scenes / 255, positions, tuple(map(str, reasons)), numbers)


def _fit(scenes: np.ndarray, positions: np.ndarray, predictions: Predictions) -> bool:
    """Whether the labels are those of images of this size."""
    labels = as_tensor(predictions.labels[positions])
    try:
        predictions.task.check_labels(labels, as_tensor(scenes), predictions.classes)
    except DataError:
        return False
    return True
