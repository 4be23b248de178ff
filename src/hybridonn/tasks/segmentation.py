"""Segmentation: one class a pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from hybridonn.core.errors import DataError
from hybridonn.tasks.classes import check_classes, check_pairs, count_shares, share_equal
from hybridonn.tasks.divergence import soft_divergence
from hybridonn.tasks.entropy import weighted_entropy
from hybridonn.tasks.iou import Overlap, measure_overlap
from hybridonn.tasks.pixels import SampledPixels, sample_near_borders
from hybridonn.tasks.strata import Strata, one_stratum, rank_strata
from hybridonn.tasks.task import Move

SIGNS = 4  # random sign combinations of a pixel-by-pixel answer


@dataclass(frozen=True)
class Segmentation:
    """One class a pixel.

    Attributes:
        label_smoothing: Label smoothing of the cross-entropy, as for classification.
        focal_gamma: Exponent of the focal factor of the cross-entropy; 0: there is none.
        class_weights: Weight of each class in the cross-entropy; None: all alike.
    """

    label_smoothing: float = 0.0
    focal_gamma: float = 0.0
    class_weights: tuple[float, ...] | None = None
    metric: ClassVar[str] = "miou"
    label: ClassVar[str] = "mIoU"
    shares: ClassVar[tuple[str, ...]] = ("miou", "miou_pixels")
    measures_note: ClassVar[str] = (
        "miou is the mean over images and classes, miou_pixels counts the pixels of the whole set; "
        "both are shares of 1."
    )
    sections: ClassVar[tuple[str, ...]] = ("mask_overlays", "iou", "chip_overlays")
    contact_sheet: ClassVar[str] = "hybridonn.reports.figures.contact_sheet:draw_masks"
    estimates: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"design": "hybridonn.estimation.estimators:estimate_pixels"}
    )
    unestimated: ClassVar[str] = ""
    drawn_live: ClassVar[bool] = True
    whole: ClassVar[bool] = False
    logit_dtype: ClassVar[torch.dtype] = torch.float16
    stored: ClassVar[Mapping[str, int]] = MappingProxyType({"predicted": 3})
    label_dimensions: ClassVar[int] = 3

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy + Dice of logits (B, classes, H, W) and masks (B, H, W)."""
        truth = labels.long()
        entropy = weighted_entropy(
            logits, truth, self.label_smoothing, self.focal_gamma, self.class_weights
        )
        return entropy + dice_loss(logits, truth)

    def score(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Intersection over union of each image, mean over its classes: (B,), float64.

        A class that neither the truth nor the answer holds is left out of the
        image's mean. The mean over images is mIoU as the paper counts it, over
        images and classes.
        """
        return self._overlap(logits, labels).scores

    def score_predicted(self, predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
        """Intersection over union of each image, mean over its classes: (N,), float64."""
        return measure_overlap(predicted, labels, classes).scores

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

    def intervals(
        self, logits: Tensor, labels: Tensor, patients: Sequence[str] | None = None
    ) -> dict[str, tuple[float, float]]:
        """None: that of the mIoU is made of the images' scores by the report."""
        return {}

    def _overlap(self, logits: Tensor, labels: Tensor) -> Overlap:
        return measure_overlap(self.predict(logits), labels, logits.shape[1])

    def diagnose_patients(self, logits: Tensor, labels: Tensor, patients: Sequence[str]) -> None:
        """None: masks are of images, not of patients."""

    def predict(self, logits: Tensor) -> Tensor:
        """The class of each pixel, (B, H, W)."""
        return logits.argmax(1)

    def share_same(self, predicted: Tensor, others: Tensor) -> float:
        """The share of pixels with the same class."""
        return float((predicted == others).float().mean())

    def store(self, logits: Tensor) -> dict[str, Tensor]:
        """The class of each pixel, (N, H, W) uint8; logits would take 4 bytes a class."""
        return {"predicted": self.predict(logits).to(torch.uint8)}

    def list_boxes(self, predicted: Tensor) -> Tensor | None:
        """None: predictions are no boxes."""
        return None

    def read_back(self, stored: Mapping[str, Tensor], classes: int) -> Tensor:
        """The class of each pixel, (N, H, W), as it is stored."""
        return stored["predicted"]

    def check_predicted(self, predicted: Tensor, labels: Tensor, classes: int) -> None:
        """Refuse predictions and labels that are not one class a pixel.

        Raises:
            DataError: The shapes differ, or a value names no class.
        """
        check_pairs(predicted, labels, classes)

    def output_shape(self, classes: int, image_shape: tuple[int, int, int]) -> tuple[int, ...]:
        """A logit a class and pixel."""
        return (classes, *image_shape[1:])

    def name_label(self, label: Tensor, classes: tuple[str, ...]) -> str:
        """Empty: an image holds several classes."""
        return ""

    def divergence(self, student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        """``T^2 KL(softmax(teacher/T) || softmax(student/T))``, mean over images and pixels."""
        return soft_divergence(student, teacher, temperature)

    def class_maps(self, outputs: Tensor) -> Tensor:
        """The logits themselves, a map a class."""
        return outputs

    def contraction(self, probes: int | None) -> int | None:
        """Random signs: a backward pass for each of 2 x 128 x 128 outputs is out of reach."""
        return probes or SIGNS

    def sample_pixels(self, labels: Tensor, count: int, size: tuple[int, int]) -> SampledPixels:
        """Half of the pixels near borders of the masks."""
        return sample_near_borders(labels, count)

    def label_pixels(self, labels: Tensor, pixels: SampledPixels) -> Tensor:
        """The class of each pixel, (B, P)."""
        return labels.flatten(1).gather(1, pixels.places)

    def label_kernel(self, labels: Tensor) -> Tensor:
        """The share of equal pixels."""
        return share_equal(labels)

    def check_labels(self, labels: Tensor, images: Tensor, classes: int) -> None:
        """Refuse labels that are not one class a pixel.

        Raises:
            DataError: They have another shape or type, or name no class.
        """
        if labels.shape != (len(images), *images.shape[2:]):
            raise DataError(
                f"there are images of shape {tuple(images.shape)} and masks of shape "
                f"{tuple(labels.shape)}; each pixel needs one class"
            )
        check_classes(labels, classes)

    def move_labels(self, labels: Tensor, move: Move) -> Tensor:
        """Masks move with their images; what comes in at an edge is what the move brings in."""
        return move(labels.unsqueeze(1)).squeeze(1)

    def stratify(self, labels: Tensor, classes: tuple[str, ...]) -> Strata:
        """Four groups by the number of pixels of any class but the first."""
        return rank_strata(torch.stack([mask.count_nonzero() for mask in labels]), "foreground")

    def cover(self, labels: Tensor, classes: tuple[str, ...]) -> Strata:
        """One group: no image has one class."""
        return one_stratum(len(labels))

    def balance(self, labels: Tensor, classes: int) -> Tensor:
        """The share of the pixels that each class has, (classes,), float64."""
        return count_shares(labels, classes)

    def draw_labels(self, labels: Tensor, classes: int) -> Tensor | None:
        """Masks, the last class white, (B, 1, H, W) uint8."""
        return (labels.float() * (255 / max(1, classes - 1))).to(torch.uint8)[:, None]

    def remark(self, labels: Tensor, part: str) -> list[str]:
        """How many masks hold a single class."""
        empty = sum(int(mask.min() == mask.max()) for mask in labels)
        return [f"{empty} of the {len(labels)} {part} masks hold a single class"] if empty else []


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
