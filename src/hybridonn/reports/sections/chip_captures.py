"""How many captures the compensation takes."""

from __future__ import annotations

from hybridonn.reports.artefacts.run import Run, chip_of
from hybridonn.reports.figures.chip import draw_fractions
from hybridonn.reports.sections.section import ReportFigure, Section


def _build(run: Run) -> list[ReportFigure]:
    chip = chip_of(run)
    curve = chip.fractions
    assert curve is not None  # the section is wanted only then
    bands = ", bands are 95 % intervals" if run.task.whole else ""
    whole = "captures of training images" if chip.measured else "training images"
    return [
        ReportFigure(
            "chip-fractions",
            "How many captures it takes",
            f"Test {run.task.label} against the fraction of captures",
            f"The metric on the test captures against the fraction of the {whole} that was "
            f"used{bands}; below each fraction stands the number of captures. Dashed: ideal "
            "optics, and the chip as fabricated. No test capture is ever used.",
            lambda: draw_fractions(curve, chip, run.task),
            level=3,
        )
    ]


CHIP_CAPTURES = Section(
    "chip_captures",
    wanted=lambda run: run.chip is not None and run.chip.fractions is not None,
    build=_build,
)
