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
class Question:
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


def estimate_infinite(asked: Question) -> Estimate:
    """Classify images with infinitely many optical kernels."""
    layers = architecture_of(asked.student, max_pooling="average")
    return estimate_accuracy(
        layers,
        *asked.train,
        *asked.test,
        settings=asked.settings,
        progress=asked.progress,
        folder=asked.folder,
    )


def estimate_drawn(asked: Question) -> Estimate:
    """Classify images with the design's number of optical kernels, drawn at random."""
    return estimate_design(
        asked.student,
        *asked.train,
        *asked.test,
        draws=asked.draws,
        settings=asked.settings,
        progress=asked.progress,
    )


def estimate_pixels(asked: Question) -> Estimate:
    """Classify pixels with the design's number of optical kernels, drawn at random."""
    return estimate_masks(
        asked.student,
        Masked(*asked.train),
        Masked(*asked.test),
        asked.classes,
        asked.score,
        draws=asked.draws,
        settings=asked.settings,
        progress=asked.progress,
    )
