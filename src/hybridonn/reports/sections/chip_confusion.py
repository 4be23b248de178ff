"""Confusion matrices of the fabricated and the compensated chip."""

from __future__ import annotations

from hybridonn.reports.artefacts.run import Run, chip_of
from hybridonn.reports.figures.confusion import MOST_COUNTS, draw_confusion
from hybridonn.reports.sections.section import ReportFigure, Section


def _build(run: Run) -> list[ReportFigure]:
    chip = chip_of(run)
    shown = chip.predictions
    if "compensated" not in shown:
        shown = {"ideal optics": run.models["student"].predictions} | shown
    counts = "numbers count test captures, " if len(run.classes) <= MOST_COUNTS else ""
    return [
        ReportFigure(
            "chip-confusion",
            f"Confused classes, {' and '.join(shown)}",
            f"Confusion matrices, {' and '.join(shown)}",
            f"As above: a row is a true class, a column the predicted one; {counts}both share one "
            "scale of colour, the per cent of the true class.",
            lambda: draw_confusion(shown, run.classes),
            level=3,
        )
    ]


CHIP_CONFUSION = Section(
    "chip_confusion",
    wanted=lambda run: run.chip is not None,
    build=_build,
    by_task=True,
)
