"""The test images that a report shows with their masks, read and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hybridonn.core.errors import ArtefactError
from hybridonn.reports.artefacts.predictions import Predictions
from hybridonn.reports.artefacts.reading import read_arrays, refusal

STAGE = "the mask_overlays stage"


@dataclass(frozen=True)
class Overlays:
    """The test images that the report shows with their masks.

    Attributes:
        scenes: Images, (M, C, H, W), in [0, 1].
        positions: Positions of the images in the test set, (M,).
        reasons: Why each was chosen, in words.
    """

    scenes: np.ndarray
    positions: np.ndarray
    reasons: tuple[str, ...]


def read_overlays(folder: Path, student: Predictions) -> Overlays:
    """Read the images that were chosen.

    Args:
        folder: The run.
        student: The student's predictions on all test images.

    Raises:
        ArtefactError: The file is missing or damaged, or its images are not the student's.
    """
    path = folder / "mask_overlays" / "overlays.npz"
    shapes = {"scenes": 4, "positions": 1}
    arrays = read_arrays(path, STAGE, shapes, texts={"reasons": 1}, whole=("positions",))
    reasons = arrays["reasons"]
    scenes, positions = arrays["scenes"], arrays["positions"]
    fit = scenes.shape[-2:] == student.labels.shape[1:] and positions.min() >= 0
    if not (fit and positions.max() < student.total and len(positions) == len(scenes)):
        found = f"images {scenes.shape} for masks {student.labels.shape}"
        raise ArtefactError(refusal(path, STAGE, found))
    if reasons.shape != positions.shape:
        raise ArtefactError(refusal(path, STAGE, "it lacks a reason for each image"))
    return Overlays(scenes / 255, positions, tuple(map(str, reasons)))
