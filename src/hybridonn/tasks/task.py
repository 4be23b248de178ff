"""What a task asks of a network, and how a task is made by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from hybridonn.core.errors import SpecError
from hybridonn.core.tables import resolve
from hybridonn.tasks.pixels import SampledPixels
from hybridonn.tasks.strata import Strata
from hybridonn.tasks.table import TASK_CODE


@dataclass(frozen=True)
class Move:
    """How the images of a batch were moved; called with maps, it moves them.

    Attributes:
        maps: Moves maps of values (B, C, H, W) as the images, without interpolation.
        points: Where points (B, P, 2) of the images come to lie; x and y in pixels, from the
            upper left corner of the image.
        size: Height and width of the moved images, in pixels.
    """

    maps: Callable[[Tensor], Tensor]
    points: Callable[[Tensor], Tensor]
    size: tuple[int, int]

    def __call__(self, maps: Tensor) -> Tensor:
        """Move maps: (B, C, H, W) to (B, C, H', W')."""
        return self.maps(maps)


class Task(Protocol):
    """Owns everything that depends on what the network is for; nothing else asks."""

    metric: ClassVar[str]  # key of what is reported, a share in [0, 1]: the larger, the better
    label: ClassVar[str]  # what reports call it
    # The measures that are shares, printed in per cent. Of the others than the metric, one that a
    # test set does not define is left out.
    shares: ClassVar[tuple[str, ...]]
    measures_note: ClassVar[str]  # what the measures are, in a sentence below a table of them
    sections: ClassVar[
        tuple[str, ...]
    ]  # parts of the report that this task has beside those of all tasks
    contact_sheet: ClassVar[str]  # package.module:function that draws images with their labels
    estimates: ClassVar[
        Mapping[str, str]
    ]  # the values of estimate.kernels that serve it, each with its estimator, and those of optics
    # without drawn kernels by the names in the table of frontends; empty: none
    unestimated: ClassVar[str]  # why there is no estimate, a main clause; empty: there is one
    drawn_live: ClassVar[bool]  # whether the page of `hybridonn live` draws its answers
    whole: ClassVar[bool]  # whether the score of an image is 0 or 1, nothing between
    logit_dtype: ClassVar[torch.dtype]  # precision in which a teacher's outputs are stored
    stored: ClassVar[
        Mapping[str, int]
    ]  # what is stored of predictions, with its number of dimensions
    label_dimensions: ClassVar[int]  # of stored labels, 1 for (N,)

    def __init__(
        self,
        label_smoothing: float = 0.0,
        focal_gamma: float = 0.0,
        class_weights: tuple[float, ...] | None = None,
    ) -> None:
        """A task with the loss that a training states; a task may take the first alone."""
        ...

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of the task alone, a scalar."""
        ...

    def score(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The metric of each image, (B,); its mean is what is reported."""
        ...

    def measure(self, logits: Tensor, labels: Tensor) -> dict[str, float]:
        """Every number that is reported of a test set: the metric under its name, and others."""
        ...

    def intervals(
        self, logits: Tensor, labels: Tensor, patients: Sequence[str] | None = None
    ) -> dict[str, tuple[float, float]]:
        """The 95 % intervals of measures beside the metric, by the names of :meth:`measure`.

        Args:
            logits: Outputs of the network for the test images, (N, ...).
            labels: Labels of the images, (N, ...).
            patients: Whom each image was taken of, N names; None: it is not known.
        """
        ...

    def diagnose_patients(
        self, logits: Tensor, labels: Tensor, patients: Sequence[str]
    ) -> dict[str, Any] | None:
        """Measures of patients, whose images are pooled to one answer; None: there are none.

        Args:
            logits: Outputs of the network for the test images, (N, ...).
            labels: Labels of the images, (N, ...).
            patients: Whom each image was taken of, N names.
        """
        ...

    def predict(self, logits: Tensor) -> Tensor:
        """Predictions of the network, in the form of labels, (B, ...)."""
        ...

    def score_predicted(self, predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
        """The metric of each image, (N,), from predictions in the form of labels."""
        ...

    def share_same(self, predicted: Tensor, others: Tensor) -> float:
        """The share of predictions of two networks that agree, both in the form of labels."""
        ...

    def store(self, logits: Tensor) -> dict[str, Tensor]:
        """Arrays to store for outputs (N, ...), under the names of ``stored``."""
        ...

    def list_boxes(self, predicted: Tensor) -> Tensor | None:
        """The boxes of an image that are worth showing, (n, 6), of its prediction.

        Columns as in :mod:`hybridonn.tasks.boxes`. None: predictions are no boxes.
        """
        ...

    def read_back(self, stored: Mapping[str, Tensor], classes: int) -> Tensor:
        """Predictions in the form of labels, (N, ...), from what :meth:`store` keeps.

        Raises:
            KeyError: A name of ``stored`` is missing.
            DataError: The arrays are of another number of classes.
        """
        ...

    def check_predicted(self, predicted: Tensor, labels: Tensor, classes: int) -> None:
        """Refuse predictions and labels that are not of the same images, or not of this task.

        Args:
            predicted: Predictions in the form of labels, (N, ...).
            labels: Labels of the images, (N, ...).
            classes: Number of classes.

        Raises:
            DataError: The shapes differ, or the values are not those of this task.
        """
        ...

    def output_shape(self, classes: int, image_shape: tuple[int, int, int]) -> tuple[int, ...]:
        """Shape of the outputs for one image (C, H, W)."""
        ...

    def name_label(self, label: Tensor, classes: tuple[str, ...]) -> str:
        """Name of the class of an image, for the title of a figure; empty: no one name tells."""
        ...

    def divergence(self, student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        """How far the student's softened outputs are from the teacher's, a scalar."""
        ...

    def class_maps(self, outputs: Tensor) -> Tensor | None:
        """How strongly each class is seen at each place, (B, classes, h, w), of outputs.

        None: an answer has no places.
        """
        ...

    def contraction(self, probes: int | None) -> int | None:
        """How the tangent kernel sums over the outputs: so many random signs, or None, exactly."""
        ...

    def sample_pixels(
        self, labels: Tensor, count: int, size: tuple[int, int]
    ) -> SampledPixels | None:
        """Pixels of each image as samples of a tangent kernel; None: an image has one answer.

        Args:
            labels: Labels of the images, (B, ...).
            count: Pixels, or cells, of an image; they depend on torch's random state.
            size: Height and width of the images, in pixels.
        """
        ...

    def label_pixels(self, labels: Tensor, pixels: SampledPixels) -> Tensor | None:
        """What each sampled pixel shows by the labels of its image, (B, P), a number a class.

        None: an image has one answer.
        """
        ...

    def label_kernel(self, labels: Tensor) -> Tensor:
        """How alike the labels of samples are, a kernel (B, B).

        Args:
            labels: Labels of images, (B, ...), or of single pixels, (B,).
        """
        ...

    def check_labels(self, labels: Tensor, images: Tensor, classes: int) -> None:
        """Refuse labels that do not fit the images or the classes.

        Args:
            labels: Labels of the images, (N, ...).
            images: (N, C, H, W).
            classes: Number of classes.

        Raises:
            DataError: Shape, type or values are not those of this task.
        """
        ...

    def move_labels(self, labels: Tensor, move: Move) -> Tensor:
        """Labels of images that were shifted, turned, flipped, resized or transposed.

        Args:
            labels: Labels of the images before they are moved, (B, ...).
            move: Moves maps and points as the images were moved.
        """
        ...

    def stratify(self, labels: Tensor, classes: tuple[str, ...]) -> Strata:
        """The groups of images that every part of a split holds in the same proportion."""
        ...

    def cover(self, labels: Tensor, classes: tuple[str, ...]) -> Strata:
        """The groups of which any choice of images to capture holds one image at least."""
        ...

    def balance(self, labels: Tensor, classes: int) -> Tensor:
        """The share of the labels that each class has, (classes,), float64."""
        ...

    def draw_labels(self, labels: Tensor, classes: int) -> Tensor | None:
        """Images that could be taken for the images of labels, (B, 1, H, W) uint8.

        None: labels are no images.
        """
        ...

    def remark(self, labels: Tensor, part: str) -> list[str]:
        """Suspicious, but not wrong, facts of the labels of a part of a set, in sentences."""
        ...


def make_task(name: str, label_smoothing: float = 0.0, **loss: Any) -> Task:
    """The task of a name, as ``spec.task`` states it.

    Args:
        name: One of :data:`~hybridonn.tasks.table.TASKS`.
        label_smoothing: Share of the truth that the loss spreads over all classes.
        **loss: ``focal_gamma`` and ``class_weights`` of the loss, where a training states them.

    Raises:
        SpecError: The task's loss has no such setting.
    """
    task = resolve(TASK_CODE, name)
    try:
        return task(label_smoothing, **loss)
    except TypeError:
        raise SpecError(
            f"task is {name}, whose loss takes no {' and no '.join(loss)}; leave it out of training"
        ) from None
