"""What a task asks of a network: its loss, its metric, its outputs in the tangent kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from hybridonn.tasks.iou import Overlap, measure_overlap

SIGNS = 4  # random sign combinations of a pixel-by-pixel answer


class Task(Protocol):
    """Owns everything that depends on what the network is for; nothing else asks."""

    metric: str

    def __init__(self, label_smoothing: float = 0.0) -> None:
        """A task whose loss smooths its labels by so much."""
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

    def predict(self, logits: Tensor) -> Tensor:
        """The class of each image or pixel."""
        ...

    def divergence(self, student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        """How far the student's softened outputs are from the teacher's, a scalar."""
        ...

    def contraction(self, probes: int | None) -> int | None:
        """How the tangent kernel sums over the outputs: so many random signs, or None, exactly."""
        ...


@dataclass(frozen=True)
class Classification:
    """One class an image.

    Attributes:
        label_smoothing: Share of the truth that is spread over all classes (Szegedy et
            al. 2016, section 7). It spoils what a teacher has to say of the classes'
            likeness (Müller, Kornblith and Hinton 2019).
    """

    label_smoothing: float = 0.0
    metric = "accuracy"

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of logits (B, classes) and labels (B,)."""
        return F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)

    def score(self, logits: Tensor, labels: Tensor) -> Tensor:
        """1 where the largest logit is the label's, else 0: (B,)."""
        return (logits.argmax(1) == labels).float()

    def measure(self, logits: Tensor, labels: Tensor) -> dict[str, float]:
        """The share of images that are named rightly."""
        return {self.metric: float(self.score(logits, labels).mean())}

    def predict(self, logits: Tensor) -> Tensor:
        """The class of each image, (B,)."""
        return logits.argmax(1)

    def divergence(self, student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        """``T^2 KL(softmax(teacher/T) || softmax(student/T))``, Hinton et al. 2015, section 2."""
        return soft_divergence(student, teacher, temperature)

    def contraction(self, probes: int | None) -> int | None:
        """All classes, unless signs are asked for."""
        return probes


@dataclass(frozen=True)
class Segmentation:
    """One class a pixel.

    Attributes:
        label_smoothing: Of the cross-entropy, as for classification.
    """

    label_smoothing: float = 0.0
    metric = "miou"

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy + Dice of logits (B, classes, H, W) and masks (B, H, W)."""
        truth = labels.long()
        smoothing = self.label_smoothing
        entropy = F.cross_entropy(logits, truth, label_smoothing=smoothing)
        return entropy + dice_loss(logits, truth)

    def score(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Intersection over union of each image, mean over its classes: (B,), float64.

        A class that neither the truth nor the answer holds is left out of the
        image's mean. The mean over images is mIoU as the paper counts it, over
        images and classes.
        """
        return self._overlap(logits, labels).scores

    def measure(self, logits: Tensor, labels: Tensor) -> dict[str, float]:
        """``miou`` over images and classes, and over the pixels of the whole set.

        ``miou_pixels`` counts intersections and unions over all images before
        it divides, as Cityscapes and COCO-Stuff do: large objects weigh more.
        """
        overlap = self._overlap(logits, labels)
        return {
            self.metric: float(overlap.scores.mean()),
            "miou_pixels": float(overlap.pooled.nanmean()),
        }

    def _overlap(self, logits: Tensor, labels: Tensor) -> Overlap:
        return measure_overlap(self.predict(logits), labels, logits.shape[1])

    def predict(self, logits: Tensor) -> Tensor:
        """The class of each pixel, (B, H, W)."""
        return logits.argmax(1)

    def divergence(self, student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        """``T^2 KL(softmax(teacher/T) || softmax(student/T))``, mean over images and pixels."""
        return soft_divergence(student, teacher, temperature)

    def contraction(self, probes: int | None) -> int | None:
        """Random signs: a backward pass for each of 2 x 128 x 128 outputs is out of reach."""
        return probes or SIGNS


def soft_divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """``T^2 KL(softmax(teacher/T) || softmax(student/T))``, mean over images and pixels.

    Hinton, Vinyals and Dean 2015, section 2; T^2 keeps the size of the gradients.

    Args:
        student: Logits, (B, classes, ...).
        teacher: Logits of the same shape.
        temperature: T.
    """
    terms = F.kl_div(
        F.log_softmax(student / temperature, 1),
        F.log_softmax(teacher / temperature, 1),
        log_target=True,
        reduction="none",
    )
    return temperature**2 * terms.sum(1).mean()


def dice_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """``1 - mean_c (2 sum p_c g_c + 1) / (sum p_c + sum g_c + 1)``, sums over the batch's pixels.

    Milletari, Navab and Ahmadi 2016, section 3, with p in place of p^2, and 1
    pixel on both sides of the bar: a class that is in no image of the batch
    costs nothing where it is not predicted.

    Args:
        logits: (B, classes, H, W).
        labels: (B, H, W), int64.
    """
    chance = torch.softmax(logits, 1)
    truth = F.one_hot(labels, logits.shape[1]).permute(0, 3, 1, 2).to(chance.dtype)
    both = (chance * truth).sum((0, 2, 3))
    either = chance.sum((0, 2, 3)) + truth.sum((0, 2, 3))
    return 1 - ((2 * both + 1) / (either + 1)).mean()


TASKS: Mapping[str, type[Task]] = MappingProxyType(
    {"classification": Classification, "segmentation": Segmentation}
)
