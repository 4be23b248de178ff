"""The test images that a report shows with their masks, read and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hybridonn.core.errors import ArtefactError
from hybridonn.reports.artefacts.predictions import Predictions
from hybridonn.reports.artefacts.reading import read_arrays, refusal


@dataclass(frozen=True)
class Overlays:
    """The test images that the report shows with their masks.

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
    fit = scenes.shape[-2:] == predictions.labels.shape[1:] and positions.min() >= 0
    if not (fit and positions.max() < predictions.total and len(positions) == len(scenes)):
        found = f"images {scenes.shape} for masks {predictions.labels.shape}"
        raise ArtefactError(refusal(path, stage, found))
    if not reasons.shape == numbers.shape == positions.shape:
        raise ArtefactError(refusal(path, stage, "it lacks a reason or number for each image"))
    return Overlays(scenes / 255, positions, tuple(map(str, reasons)), numbers)
