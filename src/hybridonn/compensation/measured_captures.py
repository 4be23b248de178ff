"""Captures that a camera took behind a real chip: those to learn from, and those of test images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hybridonn.compensation.acquisition.capture_dataset import (
    CaptureDataset,
    check_origin,
    find_positions,
    look_up,
    read_captures,
)
from hybridonn.compensation.capture_pair import CapturePair
from hybridonn.compensation.capture_sampling import choose_captures
from hybridonn.compensation.fine_tuning_data import FineTuningData, draw_others
from hybridonn.core.errors import DataError
from hybridonn.data.dataset import Dataset
from hybridonn.networks.frontends.frontend import Frontend
from hybridonn.spec import Compensation

# Parts of the data set whose captures may be learnt from, and the part that only evaluates.
PARTS = (("student_train", "validation"), ("test",))


@dataclass(frozen=True)
class MeasuredCaptures:
    """The captures of one chip, paired with the images that were displayed.

    Attributes:
        train: Captures that may be learnt from.
        train_ids: The image id of each of them.
        test: Captures of test images.
        test_positions: Where their images are in the test part, (n,) int64.
        psfs: Measured point spread functions, (K, 2, C, P, P); None: not measured.
        dataset: The images.
    """

    train: CapturePair
    train_ids: tuple[str, ...]
    test: CapturePair
    test_positions: Tensor
    psfs: Tensor | None
    dataset: Dataset

    def draw_data(self, settings: Compensation) -> FineTuningData:
        """The captures, and the images for the digital twin, at the fraction of the settings."""
        covered = self.dataset.task.cover(self.train.shown.labels, self.dataset.classes)
        chosen = choose_captures(covered, settings)
        ids = [self.train_ids[position] for position in chosen.tolist()]
        known = find_positions(ids, "student_train")
        others = draw_others(self.dataset.student_train, known, settings)
        return FineTuningData(self.train.take(chosen), others)


def read_measured_captures(
    folder: Path, dataset: Dataset, origin: Mapping[str, str | None], optics: Frontend
) -> MeasuredCaptures:
    """Read a capture set that was imported for a run.

    Args:
        folder: From ``hybridonn captures import``.
        dataset: The images of the run.
        origin: Hashes of the run's ``dataset``, ``student`` and ``metasurface``.
        optics: The student's optics, whose branches bin the captures of the camera.

    Raises:
        ArtefactError: A file is missing or damaged.
        DataError: The captures are of another run, or none is left to learn from or to judge by.
    """
    captures = read_captures(folder)
    cure = "compensate the run that it was imported for, or import captures of this run's chip"
    check_origin(captures.notes, origin, f"{folder} was imported", cure)
    _check(captures, optics.kernels, folder)
    train, test = (captures.of_part(*parts) for parts in PARTS)
    return MeasuredCaptures(
        _pair(train, dataset, optics),
        tuple(train.image_ids.tolist()),
        _pair(test, dataset, optics),
        find_positions(test.image_ids, PARTS[1][0]),
        None if captures.psfs is None else torch.from_numpy(captures.psfs),
        dataset,
    )


def _pair(captures: CaptureDataset, dataset: Dataset, optics: Frontend) -> CapturePair:
    """The captures as the branches of the optics read them out."""
    signs = (torch.from_numpy(one).float() for one in (captures.positive, captures.negative))
    branches = optics.read_out(torch.stack(list(signs), 2))
    shown = look_up(captures.image_ids, dataset)
    if captures.measured is None:
        return CapturePair(branches, shown)
    parts = optics.read_out(torch.from_numpy(captures.measured)[None].float())
    # A binned pixel was measured where all of its pixels were.
    measured = tuple(part[0] > 1 - 1e-6 for part in parts)
    return CapturePair(branches, shown, measured)


def _check(captures: CaptureDataset, kernels: int, folder: Path) -> None:
    if captures.kernels != kernels:
        raise DataError(
            f"{folder} holds captures of {captures.kernels} kernels, but the student has "
            f"{kernels}; import captures of the chip of this run"
        )
    if not len(captures) and captures.psfs is not None:
        raise DataError(
            f"{folder} holds point spread functions alone: they say how far the optics are from "
            "the design (psfs.png, quality), and compensation learns from captures of images; "
            "display some, see `hybridonn captures template`, and import them with --psfs"
        )
    for parts, what in zip(PARTS, ("to learn from", "to judge by"), strict=True):
        if not len(captures.of_part(*parts)):
            raise DataError(
                f"{folder} holds no capture {what}: none of the {len(captures)} is of "
                f"{' or '.join(parts)}; display some of them, see `hybridonn captures template`"
            )
