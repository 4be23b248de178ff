"""Where the kernels lie on the metasurface."""

from __future__ import annotations

from hybridonn.reports.artefacts.run import Run, layout_of
from hybridonn.reports.figures.layout import draw_layout
from hybridonn.reports.sections.section import ReportFigure, Section


def _build(run: Run) -> ReportFigure:
    layout = layout_of(run)
    return ReportFigure(
        "layout",
        "The metasurface",
        f"{layout.kernels} signed kernels on {layout.rows} × {layout.columns} sites",
        "The metasurface to scale. Each square is the site of one sub-optic with its own point "
        "spread function (PSF). Light is incoherent, so a PSF cannot be negative: a signed kernel "
        "takes two neighbouring sites, one for its positive part (red) and one for its negative "
        "part (blue). Kernels are numbered from 0, as in the arrays; sites that are only outlined "
        "stay empty.",
        lambda: draw_layout(layout),
    )


LAYOUT = Section(
    "layout", wanted=lambda run: run.layout is not None, build=lambda run: [_build(run)]
)
