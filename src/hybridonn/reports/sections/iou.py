"""Intersection over union by class and by image."""

from __future__ import annotations

from hybridonn.reports.artefacts.run import Run
from hybridonn.reports.figures.iou import draw_iou
from hybridonn.reports.sections.mask_overlays import list_masks
from hybridonn.reports.sections.section import ReportFigure, Section
from hybridonn.reports.tables.iou import list_shares


def _build(run: Run) -> ReportFigure:
    return ReportFigure(
        "iou",
        "How well the masks cover",
        "Intersection over union by class, and the distribution of the images' mIoU",
        "Intersection over union (IoU): the pixels that truth and answer share, over those that "
        "either has. The mIoU of an image is the mean over the classes in it, be it in truth or "
        "answer; its mean over the test images is the mIoU of this report, over images and classes "
        "as in Xiang et al. The table has it under “images”. Under “pixels”, intersections and "
        "unions are added over the whole test set before they are divided (as in Cityscapes and "
        "COCO-Stuff; miou_pixels in results.json), so that large objects weigh more. The mean of "
        "the classes' values need not be the mIoU where a class is missing from some images.",
        lambda: draw_iou(list_masks(run), run.classes),
        tuple(list_shares(list_masks(run), run.classes)),
    )


IOU = Section("iou", wanted=lambda run: "iou" in run.task.sections, build=lambda run: [_build(run)])
