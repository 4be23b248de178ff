"""Confusion matrices of teacher and student."""

from __future__ import annotations

import numpy as np

from hybridonn.core.errors import ArtefactError
from hybridonn.reports.artefacts.predictions import Predictions
from hybridonn.reports.artefacts.run import Run
from hybridonn.reports.figures.confusion import MOST_COUNTS, draw_confusion
from hybridonn.reports.sections.section import ReportFigure, Section
from hybridonn.reports.tables.measures import list_measures


def _say_patients(run: Run) -> str:
    """What a reader of medical images asks: whether images of a patient stand alone."""
    if any("by_patient" in run.results.get(name, {}) for name in run.models):
        return ""
    return " The data name no patients, so that each image counts by itself."


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
        f"against the others.{_say_patients(run)}",
        lambda: draw_confusion(
            {name: model.predictions for name, model in run.models.items()}, run.classes
        ),
        tuple(
            list_measures(
                {name: run.results.get(name, {}) for name in run.models},
                {name: model.predictions.interval for name, model in run.models.items()},
            )
        ),
    )


def _build_patients(run: Run) -> list[ReportFigure]:
    """The confusion of patients, where the data name them."""
    found = {
        name: run.results[name]["by_patient"]
        for name in run.models
        if "by_patient" in run.results.get(name, {})
    }
    if not found:
        return []
    counted = {name: _unfold(run, one["confusion"]) for name, one in found.items()}
    return [
        ReportFigure(
            "confusion-patients",
            "Which classes are confused, by patient",
            "Confusion matrices of the patients of the test images",
            "The same with all test images of a patient pooled: their probabilities are averaged, "
            "and the class with the largest mean is the patient's. A patient whose images are of "
            "several classes counts once for each, with the images of that class. The numbers "
            "count patients; intervals are of resampled patients.",
            lambda: draw_confusion(counted, run.classes),
            tuple(list_measures(found)),
            level=3,
        )
    ]


def _unfold(run: Run, confusion: list[list[int]]) -> Predictions:
    """One prediction for each count of a table of confusions.

    Raises:
        ArtefactError: The table is of another number of classes.
    """
    counts = np.array(confusion, dtype=np.int64)
    if counts.shape != (len(run.classes),) * 2:
        raise ArtefactError(
            f"{run.folder / 'results.json'} holds confusions by patient of {len(counts)} classes, "
            f"and there are {len(run.classes)}; run it again"
        )
    truth, predicted = (
        np.repeat(places.ravel(), counts.ravel()) for places in np.indices(counts.shape)
    )
    return Predictions(run.task, truth, predicted, len(run.classes))


CONFUSION = Section(
    "confusion",
    wanted=lambda run: True,
    build=lambda run: [_build(run), *_build_patients(run)],
    by_task=True,
)
