"""Confusion matrices of the fabricated and the compensated chip."""

from __future__ import annotations

from hybridonn.reports.artefacts.predictions import Predictions
from hybridonn.reports.artefacts.run import Run, chip_of
from hybridonn.reports.figures.confusion import MOST_COUNTS, draw_confusion
from hybridonn.reports.sections.section import ReportFigure, Section


def _build(run: Run) -> list[ReportFigure]:
    chip = chip_of(run)
    answers = {name: one for name, one in chip.answers.items() if isinstance(one, Predictions)}
    student = run.models["student"].predictions
    if "compensated" not in answers and isinstance(student, Predictions):
        answers = {"ideal optics": student} | answers
    counts = "numbers count test captures, " if len(run.classes) <= MOST_COUNTS else ""
    return [
        ReportFigure(
            "chip-confusion",
            f"Confused classes, {' and '.join(answers)}",
            f"Confusion matrices, {' and '.join(answers)}",
            f"As above: a row is a true class, a column the answer; {counts}and both share one "
            "scale of colour, the per cent of the true class.",
            lambda: draw_confusion(answers, run.classes),
            level=3,
        )
    ]


CHIP_CONFUSION = Section(
    "chip_confusion",
    wanted=lambda run: run.chip is not None and "confusion" in run.task.sections,
    build=_build,
)
