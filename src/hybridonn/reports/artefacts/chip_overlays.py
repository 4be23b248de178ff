"""Test images with what the chip says of them after each treatment, read and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hybridonn.reports.artefacts.mask_overlays import Overlays, read_overlays
from hybridonn.reports.artefacts.predictions import Predictions, read_predictions


@dataclass(frozen=True)
class ChipOverlays:
    """Test images with what is said of them behind the chip.

    Attributes:
        overlays: The images.
        predictions: By treatment, on the test captures, in the order in which they are shown:
            ``ideal`` optics where they are known on the same images, ``uncompensated``,
            ``calibrated``, and the method that is kept.
    """

    overlays: Overlays
    predictions: dict[str, Predictions]


def read_chip_overlays(
    place: Path, stage: str, ideal: Predictions | None, chip: dict[str, Predictions], kept: str
) -> ChipOverlays | None:
    """Read the images that a stage chose; None: the task's reports show none.

    Args:
        place: The folder of the stage.
        stage: Name of the stage.
        ideal: What the network says of the same images with ideal optics; None: not known.
        chip: What it says of them ``as fabricated`` and, where there is such, ``compensated``.
        kept: The treatment that is kept; empty: nothing was compensated.

    Raises:
        ArtefactError: A file is missing or damaged, or its images are not those of the captures.
    """
    built = chip["as fabricated"]
    path = place / "overlays.npz"
    if "chip_overlays" not in built.task.sections or not path.is_file():
        return None  # or the stage is of an earlier version, which chose none
    shown = {} if ideal is None else {"ideal": ideal}
    shown["uncompensated"] = built
    if kept:
        calibrated = place / "predictions_calibrated.npz"
        shown["calibrated"] = read_predictions(calibrated, stage, built.classes, built.task)
        shown[kept] = chip["compensated"]
    return ChipOverlays(read_overlays(path, stage, built), shown)
