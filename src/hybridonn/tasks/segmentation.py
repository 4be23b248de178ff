"""Segmentation: one class a pixel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from hybridonn.tasks.divergence import soft_divergence
from hybridonn.tasks.iou import Overlap, measure_overlap

SIGNS = 4  # random sign combinations of a pixel-by-pixel answer


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
