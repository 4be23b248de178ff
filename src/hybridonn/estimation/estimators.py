"""The estimators that tasks name, all with the same argument."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from hybridonn.core.progress import Progress
from hybridonn.estimation.architecture import architecture_of
from hybridonn.estimation.estimate import Estimate, Settings, estimate_accuracy
from hybridonn.estimation.finite import estimate_design
from hybridonn.estimation.pixels import Masked, estimate_masks
from hybridonn.spec import Student


@dataclass(frozen=True)
class EstimateInputs:
    """A design and the images on which its metric is estimated.

    Attributes:
        student: The design.
        train: Scenes, (N, C, H, W), in [0, 1], and labels, (N, ...), of the regression.
        test: Scenes and labels that it is tested on.
        classes: Number of classes.
        score: The metric of each image, (N,), from outputs and labels.
        draws: Number of draws of the optical kernels, where they are drawn.
        settings: Memory, random features and seed.
        progress: Told of each step.
        folder: Where tiles of a large kernel are kept.
    """

    student: Student
    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    classes: int
    score: Callable[[Tensor, Tensor], Tensor]
    draws: int
    settings: Settings
    progress: Progress
    folder: Path


def estimate_infinite(inputs: EstimateInputs) -> Estimate:
    """Classify images with infinitely many optical kernels."""
    layers = architecture_of(inputs.student, max_pooling="average")
    return estimate_accuracy(
        layers,
        *inputs.train,
        *inputs.test,
        settings=inputs.settings,
        progress=inputs.progress,
        folder=inputs.folder,
    )


def estimate_drawn(inputs: EstimateInputs) -> Estimate:
    """Classify images with the design's number of optical kernels, drawn at random."""
    return estimate_design(
        inputs.student,
        *inputs.train,
        *inputs.test,
        draws=inputs.draws,
        settings=inputs.settings,
        progress=inputs.progress,
    )


def estimate_pixels(inputs: EstimateInputs) -> Estimate:
    """Classify pixels with the design's number of optical kernels, drawn at random."""
    return estimate_masks(
        inputs.student,
        Masked(*inputs.train),
        Masked(*inputs.test),
        inputs.classes,
        inputs.score,
        draws=inputs.draws,
        settings=inputs.settings,
        progress=inputs.progress,
    )
