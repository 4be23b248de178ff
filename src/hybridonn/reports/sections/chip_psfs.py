"""Kernels and point spread functions of the fabricated or measured chip."""

from __future__ import annotations

from hybridonn.reports.artefacts.run import Run, chip_of
from hybridonn.reports.figures.chip import draw_built_kernels, draw_built_psfs
from hybridonn.reports.sections.section import ReportFigure, Section


def _build(run: Run) -> list[ReportFigure]:
    chip, optics, metasurface = chip_of(run), chip_of(run).optics, run.optics is not None
    assert optics is not None  # the section is wanted only then
    built = "measured" if chip.measured else "built"
    wanted = "the simulated metasurface's" if metasurface and not chip.measured else "as trained"
    shown = (
        "Kernels are ordered from the one that is nearest to its design to the one that is "
        "farthest; where there are too many, evenly between the two. Below each, its error: the "
        "Euclidean distance from the design over the design's size. One scale for all; white "
        "is zero."
    )
    return [
        ReportFigure(
            "chip-kernels",
            f"Kernels, designed and {built}",
            f"Signed kernels as designed, as {built}, and the difference",
            f"Signed kernels as designed ({wanted}), as {built}, and the difference. {shown}",
            lambda: draw_built_kernels(optics, built),
            level=3,
        ),
        ReportFigure(
            "chip-psfs",
            f"Point spread functions, designed and {built}",
            f"Point spread functions as designed, as {built}, and the difference",
            "The two point spread functions of some kernels, positive (+) and negative (−) part, "
            f"upright: a kernel turned by half a turn. {shown}",
            lambda: draw_built_psfs(optics, built),
            level=3,
        ),
    ]


CHIP_PSFS = Section(
    "chip_psfs",
    wanted=lambda run: run.chip is not None and run.chip.optics is not None,
    build=_build,
)
