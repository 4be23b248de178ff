"""Test images with true boxes and those that networks state."""

from __future__ import annotations

from hybridonn.reports.artefacts.run import Run
from hybridonn.reports.figures.boxes import draw_box_overlays
from hybridonn.reports.sections.section import ReportFigure, Section


def _build(run: Run) -> ReportFigure:
    overlays = run.overlays
    assert overlays is not None  # the section is wanted only then
    return ReportFigure(
        "overlays",
        "Boxes over test images",
        f"{len(overlays.scenes)} test images with the boxes of truth and networks",
        "Test images as they are, with the true boxes and with those that each network states with "
        "a score of 0.3 or more. By the student's AP50 these are the best, the median and the "
        "worst image, and others drawn at random by the run's seed. Above each image stands its "
        "AP50, for which boxes of every score count.",
        lambda: draw_box_overlays(
            overlays, {name: one.predictions for name, one in run.models.items()}, run.classes
        ),
    )


BOX_OVERLAYS = Section(
    "box_overlays",
    wanted=lambda run: run.overlays is not None,
    build=lambda run: [_build(run)],
    by_task=True,
)
