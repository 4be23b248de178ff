"""Widths and phases of the designed pillars."""

from __future__ import annotations

from hybridonn.reports.artefacts.run import Run, optics_of
from hybridonn.reports.figures.pillar_maps import count_step, draw_width_maps
from hybridonn.reports.sections.section import ReportFigure, Section
from hybridonn.reports.tables.pillars import list_pillar_numbers


def _build(run: Run) -> list[ReportFigure]:
    """Widths and phases of one kernel's pillars, and what all are made of."""
    maps, optics = run.width_maps, optics_of(run)
    assert maps is not None  # the section is wanted only then
    step = count_step(maps)
    thinned = f" Of the whole, every {step}th cell along a side is shown." if step > 1 else ""
    return [
        ReportFigure(
            "pillars",
            "The designed pillars",
            f"Widths and phases of the pillars of kernel {maps.kernel}",
            f"The pillars of kernel {maps.kernel}, positive part above, negative part below, as "
            "one looks through the metasurface at the scene. The width decides the phase by which "
            "a pillar delays light, counted from an empty cell, in whole turns; a width has one "
            "phase at each wavelength. On the right, the middle of the sub-optic, cell by cell."
            f"{thinned} The numerical aperture is the sine of the angle at which half a side of "
            "the sub-optic is seen from the middle of its image on the sensor. All widths lie "
            "in metasurface/widths.npz.",
            lambda: draw_width_maps(maps),
            tuple(list_pillar_numbers(optics.results, optics.wavelengths_nm)),
            level=3,
        )
    ]


PILLARS = Section("pillars", wanted=lambda run: run.width_maps is not None, build=_build)
