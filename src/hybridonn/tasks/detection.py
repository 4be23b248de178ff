"""Detection: upright boxes about the objects of an image, each with its class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from hybridonn.core.errors import DataError
from hybridonn.tasks.average_precision import measure_precision, score_images, share_matched
from hybridonn.tasks.boxes import (
    CLASS,
    COLUMNS,
    EDGES,
    bound_points,
    cut_boxes,
    find_present,
    generalised_overlap,
    list_corners,
    list_shown,
    measure_areas,
)
from hybridonn.tasks.centres import (
    DISTANCES,
    MOST_BOXES,
    STRIDE,
    box_loss,
    decode,
    draw_targets,
    focal_loss,
    name_cells,
    read_boxes,
)
from hybridonn.tasks.classes import share_equal
from hybridonn.tasks.pixels import SampledPixels, sample_half_near
from hybridonn.tasks.strata import Strata, one_stratum, rank_strata
from hybridonn.tasks.task import Move

SIGNS = 4  # random sign combinations of the outputs of all cells
BOX_WEIGHT = 5.0  # of the boxes' loss beside the heatmap's, TTFNet (arXiv 1909.00700), section 3.5


@dataclass(frozen=True)
class Detection:
    """Upright boxes about the objects of an image.

    Labels are (N, M, 6): a row a box, and rows of class -1 that hold none, see
    :mod:`hybridonn.tasks.boxes`. Outputs are (B, classes + 4, H / 4, W / 4): see
    :mod:`hybridonn.tasks.centres`.

    Attributes:
        label_smoothing: Share of the truth that the heatmap's loss gives, by half, to the other
            answer.
    """

    label_smoothing: float = 0.0
    metric: ClassVar[str] = "ap50_images"
    label: ClassVar[str] = "AP50 an image"
    shares: ClassVar[tuple[str, ...]] = (
        "ap50_images",
        "ap50",
        "ap",
        "ap_small",
        "ap_medium",
        "ap_large",
    )
    measures_note: ClassVar[str] = (
        "ap50_images is the mean over images of the AP50 of each, in which a class that is not "
        "there counts as 0 if a box of it has a score of 0.3 or more; ap50 and ap are COCO's, of "
        "the whole set, with up to 500 boxes an image: at an overlap of 0.5, and the mean over "
        "0.5 to 0.95; ap_small, ap_medium and ap_large are ap of objects below 32 x 32, up to "
        "96 x 96 and beyond, in pixels of the images as the network sees them. All are shares of 1."
    )
    sections: ClassVar[tuple[str, ...]] = ("box_overlays",)
    contact_sheet: ClassVar[str] = "hybridonn.reports.figures.boxes:draw_sheet"
    estimates: ClassVar[Mapping[str, str]] = MappingProxyType({})
    unestimated: ClassVar[str] = (
        "kernel regression predicts numbers of an image or a pixel, and says nothing of boxes that "
        "compete for objects"
    )
    drawn_live: ClassVar[bool] = False
    whole: ClassVar[bool] = False
    logit_dtype: ClassVar[torch.dtype] = torch.float16
    stored: ClassVar[Mapping[str, int]] = MappingProxyType({"predicted": 3})
    label_dimensions: ClassVar[int] = 3

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Focal loss of the heatmap + 5 (1 - GIoU) of the boxes, per object of the batch."""
        heat, stated = logits[:, :-DISTANCES], read_boxes(logits)
        total, count = logits.new_zeros(()), 0
        for index, boxes in enumerate(labels):
            targets = draw_targets(boxes, *heat.shape[1:])
            total = total + focal_loss(heat[index], targets.heat, self.label_smoothing)
            total = total + BOX_WEIGHT * box_loss(stated[index], targets)
            count += targets.count
        return total / max(1, count)

    def score(self, logits: Tensor, labels: Tensor) -> Tensor:
        """AP50 of each image, the mean over its classes, (B,), float64."""
        return score_images(self.predict(logits), labels, logits.shape[1] - DISTANCES)

    def score_predicted(self, predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
        """AP50 of each image, the mean over its classes, (N,), float64."""
        return score_images(predicted, labels, classes)

    def measure(self, logits: Tensor, labels: Tensor) -> dict[str, float]:
        """The mean AP50 of an image, and AP50, AP and AP by size of the whole set.

        Raises:
            DataError: faster-coco-eval is not installed.
        """
        predicted, classes = self.predict(logits), logits.shape[1] - DISTANCES
        mean = float(score_images(predicted, labels, classes).mean())
        return {self.metric: mean} | measure_precision(predicted, labels, classes)

    def intervals(
        self, logits: Tensor, labels: Tensor, patients: Sequence[str] | None = None
    ) -> dict[str, tuple[float, float]]:
        """None: that of the mean AP50 is made of the images' scores by the report."""
        return {}

    def diagnose_patients(self, logits: Tensor, labels: Tensor, patients: Sequence[str]) -> None:
        """None: boxes are of images, not of patients."""

    def predict(self, logits: Tensor) -> Tensor:
        """The boxes of each image, best first, (B, 500, 6)."""
        return decode(logits)

    def share_same(self, predicted: Tensor, others: Tensor) -> float:
        """The share of shown boxes that both hold: of one class, overlapping by half."""
        return share_matched(predicted, others)

    def store(self, logits: Tensor) -> dict[str, Tensor]:
        """The boxes of each image, (N, 500, 6) float32."""
        return {"predicted": self.predict(logits)}

    def list_boxes(self, predicted: Tensor) -> Tensor | None:
        """The boxes of an image with a score of 0.3 or more, best first, (n, 6)."""
        return list_shown(predicted)

    def read_back(self, stored: Mapping[str, Tensor], classes: int) -> Tensor:
        """The boxes of each image, (N, K, 6), as they are stored."""
        return stored["predicted"]

    def check_predicted(self, predicted: Tensor, labels: Tensor, classes: int) -> None:
        """Refuse predictions and labels that are not boxes of the same images.

        Raises:
            DataError: The shapes or types differ, or a row holds no box.
        """
        for boxes in (predicted, labels):
            _check_rows(boxes, classes)
        if len(predicted) != len(labels):
            raise DataError(
                f"predictions have the shape {tuple(predicted.shape)} and labels "
                f"{tuple(labels.shape)}; both must be of the same images"
            )

    def output_shape(self, classes: int, image_shape: tuple[int, int, int]) -> tuple[int, ...]:
        """A logit a class and four logarithms of distances for each cell of 4 x 4 pixels.

        Raises:
            DataError: A side of the images is no multiple of 4.
        """
        height, width = image_shape[1:]
        if height % STRIDE or width % STRIDE:
            raise DataError(
                f"images are {height} x {width} pixels; task detection has cells of {STRIDE} x "
                f"{STRIDE} pixels, so set data.size_pixels to multiples of {STRIDE}"
            )
        return (classes + DISTANCES, height // STRIDE, width // STRIDE)

    def name_label(self, label: Tensor, classes: tuple[str, ...]) -> str:
        """Empty: an image holds several objects."""
        return ""

    def divergence(self, student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        """How far heatmap and boxes are from the teacher's, per object that the teacher sees.

        ``T^2 KL`` of each cell's chances of yes and no, softened by T, and ``1 - GIoU`` of the
        boxes, each cell weighted by the teacher's chance of an object there.
        """
        seen = teacher[:, :-DISTANCES].sigmoid()
        weights = seen.amax(1)
        count = weights.sum().clamp_min(1)
        soft, truth = (one[:, :-DISTANCES] / temperature for one in (student, teacher))
        answers = torch.stack([truth, -truth])
        chances = answers.sigmoid()
        gaps = F.logsigmoid(answers) - F.logsigmoid(torch.stack([soft, -soft]))
        heat = temperature**2 * (chances * gaps).sum()
        share = generalised_overlap(read_boxes(student), read_boxes(teacher))
        return (heat + (weights * (1 - share)).sum()) / count

    def class_maps(self, outputs: Tensor) -> Tensor:
        """The heatmaps, a map of logits a class; distances say nothing where no object is."""
        return outputs[:, :-DISTANCES]

    def contraction(self, probes: int | None) -> int | None:
        """Random signs: a backward pass for each output of each cell is out of reach."""
        return probes or SIGNS

    def sample_pixels(self, labels: Tensor, count: int, size: tuple[int, int]) -> SampledPixels:
        """Cells of 4 x 4 pixels, half of them near the centres of objects."""
        return sample_half_near(name_cells(labels, size[0] // STRIDE, size[1] // STRIDE) > 0, count)

    def label_pixels(self, labels: Tensor, pixels: SampledPixels) -> Tensor:
        """1 + the class of the object near whose centre a cell lies, else 0, (B, P)."""
        return name_cells(labels, *pixels.size).flatten(1).gather(1, pixels.places)

    def label_kernel(self, labels: Tensor) -> Tensor:
        """The cosine of the numbers of boxes of each class, beside a constant 1.

        Of the labels of cells, (B,), 1 where they are the same, else 0.
        """
        if labels.ndim == 1:
            return share_equal(labels)
        present, kinds = find_present(labels), labels[..., CLASS]
        classes = torch.arange(max(1, int(kinds.max()) + 1), device=labels.device)
        counts = ((kinds[..., None] == classes) & present[..., None]).sum(1).float()
        rows = F.normalize(F.pad(counts, (0, 1), value=1.0), dim=1)
        return rows @ rows.T

    def check_labels(self, labels: Tensor, images: Tensor, classes: int) -> None:
        """Refuse labels that are not boxes within the images.

        Raises:
            DataError: They have another shape or type, name no class, or lie outside.
        """
        _check_rows(labels, classes)
        if len(labels) != len(images):
            raise DataError(
                f"there are images of shape {tuple(images.shape)} and boxes of shape "
                f"{tuple(labels.shape)}; each image needs its boxes"
            )
        height, width = images.shape[2:]
        limits = labels.new_tensor([width, height, width, height])
        outside = (labels[..., EDGES] < 0) | (labels[..., EDGES] > limits)
        bad = find_present(labels) & outside.any(-1)
        if bad.any():
            image, row = bad.nonzero()[0].tolist()
            raise DataError(
                f"box {row + 1} of image {image} is {labels[image, row, EDGES].tolist()} (left, "
                f"top, right, bottom), beyond the image of {height} x {width} pixels"
            )

    def move_labels(self, labels: Tensor, move: Move) -> Tensor:
        """Boxes about the moved corners, cut at the edges of the image.

        Of a box that turns, the corners stay within the new one. A box of which less than 30 % is
        left within the image is dropped.
        """
        edges = labels[..., EDGES]
        points = move.points(list_corners(edges).flatten(1, 2)).unflatten(1, (-1, 4))
        there = find_present(labels)[..., None]
        moved = torch.where(there, bound_points(points).to(edges), edges)
        boxes = torch.cat([labels[..., :1], moved, labels[..., -1:]], -1)
        return cut_boxes(boxes, *move.size)

    def stratify(self, labels: Tensor, classes: tuple[str, ...]) -> Strata:
        """Four groups by the number of boxes."""
        return rank_strata(find_present(labels).sum(1), "boxes")

    def cover(self, labels: Tensor, classes: tuple[str, ...]) -> Strata:
        """One group: no image has one class."""
        return one_stratum(len(labels))

    def balance(self, labels: Tensor, classes: int) -> Tensor:
        """The share of the boxes that each class has, (classes,), float64."""
        kinds = labels[find_present(labels)][:, CLASS].long()
        return torch.bincount(kinds, minlength=classes).double() / max(1, len(kinds))

    def draw_labels(self, labels: Tensor, classes: int) -> Tensor | None:
        """None: boxes are no images."""
        return None

    def remark(self, labels: Tensor, part: str) -> list[str]:
        """How many images hold no box, more boxes than are found, or a box twice."""
        counts = find_present(labels).sum(1)
        empty, crowded = int((counts == 0).sum()), int((counts > MOST_BOXES).sum())
        distinct = sum(len(boxes[find_present(boxes)].unique(dim=0)) for boxes in labels)
        twice, whose = int(counts.sum()) - distinct, f"of the {len(labels)} {part} images"
        said = {
            f"{empty} {whose} hold no box: background alone": empty,
            f"{crowded} {whose} hold more than {MOST_BOXES} boxes, up to {int(counts.max())}; so "
            f"many are found of an image at most: cut these images into parts": crowded,
            f"{twice} boxes of the {part} images are the same as another of their image, which "
            "one answer cannot find": twice,
        }
        return [line for line, count in said.items() if count]


def _check_rows(boxes: Tensor, classes: int) -> None:
    """Refuse what is not rows of boxes, each of a class and with a positive size.

    Raises:
        DataError: It is not.
    """
    if boxes.ndim != 3 or boxes.shape[2] != COLUMNS or not boxes.is_floating_point():
        raise DataError(
            f"boxes have the shape {tuple(boxes.shape)} and type {boxes.dtype}; allowed is "
            "(N, M, 6) of floating-point numbers: class, left, top, right, bottom, score"
        )
    there = find_present(boxes)
    kinds = boxes[..., CLASS]
    named = (kinds < classes) & (kinds == kinds.floor())
    sound = boxes.isfinite().all(-1) & named & (measure_areas(boxes[..., EDGES]) > 0)
    bad = there & ~sound
    if bad.any() or boxes[..., CLASS].isnan().any():
        image, row = (bad | kinds.isnan()).nonzero()[0].tolist()
        raise DataError(
            f"box {row + 1} of image {image} is {boxes[image, row].tolist()} (class, left, top, "
            f"right, bottom, score); allowed are the classes 0 to {classes - 1} and boxes of a "
            "positive size"
        )
