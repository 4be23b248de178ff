"""Intersection over union by class and by image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hybridonn.reports.artefacts.predictions import Predictions, as_tensor
from hybridonn.reports.artefacts.run import Run
from hybridonn.reports.figures.iou import draw_iou
from hybridonn.reports.sections.section import ReportFigure, Section
from hybridonn.reports.tables.iou import list_shares

if TYPE_CHECKING:
    from hybridonn.tasks.iou import Overlap


def overlap_of(predictions: Predictions) -> Overlap:
    """How predicted and true masks cover each other."""
    from hybridonn.tasks.iou import measure_overlap  # imports torch

    pair = as_tensor(predictions.predicted), as_tensor(predictions.labels)
    return measure_overlap(*pair, predictions.classes)


def _build(run: Run) -> ReportFigure:
    overlaps = {name: overlap_of(model.predictions) for name, model in run.models.items()}
    return ReportFigure(
        "iou",
        "How well the masks cover",
        "Intersection over union by class, and the distribution of the images' mIoU",
        "Intersection over union (IoU): the pixels that the true and the predicted mask share, "
        "over those that either has. The mIoU of an image is the mean over the classes in it, true "
        "or predicted; its mean over the test images is the mIoU of this report, over images and "
        "classes as in Xiang et al. The table has it under “images”. Under “pixels”, intersections "
        "and unions are added over the whole test set before they are divided (as in Cityscapes "
        "and COCO-Stuff; miou_pixels in results.json), so that large objects weigh more. The mean "
        "of the classes' values need not be the mIoU where a class is missing from some images.",
        lambda: draw_iou(overlaps, run.classes),
        tuple(list_shares(overlaps, run.classes)),
    )


IOU = Section("iou", wanted=lambda run: True, build=lambda run: [_build(run)], by_task=True)
