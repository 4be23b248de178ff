"""Confusion matrices of teacher and student."""

from __future__ import annotations

from hybridonn.reports.artefacts.run import Run
from hybridonn.reports.figures.confusion import MOST_COUNTS, draw_confusion
from hybridonn.reports.sections.section import ReportFigure, Section


def _build(run: Run) -> ReportFigure:
    counts = "The numbers count test images. " if len(run.classes) <= MOST_COUNTS else ""
    return ReportFigure(
        "confusion",
        "Which classes are confused",
        "Confusion matrices on the test images",
        f"A row is a true class, a column what the network took it for. {counts}The colour is the "
        "share of the true class, on a scale that is stretched at the low end so that single "
        "mistakes can be seen. A perfect network has nothing beside the diagonal.",
        lambda: draw_confusion(
            {name: model.predictions for name, model in run.models.items()}, run.classes
        ),
    )


CONFUSION = Section(
    "confusion",
    wanted=lambda run: True,
    build=lambda run: [_build(run)],
    by_task=True,
)
