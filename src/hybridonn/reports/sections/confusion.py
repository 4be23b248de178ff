"""Confusion matrices of teacher and student."""

from __future__ import annotations

from hybridonn.reports.artefacts.run import Run
from hybridonn.reports.figures.confusion import MOST_COUNTS, draw_confusion
from hybridonn.reports.sections.section import ReportFigure, Section
from hybridonn.reports.tables.measures import list_measures


def _build(run: Run) -> ReportFigure:
    counts = "The numbers count test images. " if len(run.classes) <= MOST_COUNTS else ""
    return ReportFigure(
        "confusion",
        "Which classes are confused",
        "Confusion matrices on the test images",
        f"A row is a true class, a column what the network took it for. {counts}The colour is the "
        "share of the true class, on a scale that is stretched at the low end so that single "
        "mistakes can be seen. A perfect network has nothing beside the diagonal. The balanced "
        "accuracy is the mean of the classes' recalls. Of two classes the second is the positive "
        "one; of more, specificity and area under the ROC curve (AUC) are means over classes, each "
        "against the others.",
        lambda: draw_confusion(
            {name: model.predictions for name, model in run.models.items()}, run.classes
        ),
        tuple(list_measures({name: run.results.get(name, {}) for name in run.models})),
    )


CONFUSION = Section(
    "confusion",
    wanted=lambda run: True,
    build=lambda run: [_build(run)],
    by_task=True,
)
