"""The layout file that goes to the fab."""

from __future__ import annotations

from hybridonn.reports.artefacts.run import Run
from hybridonn.reports.figures.layout_file import draw_layout_file
from hybridonn.reports.sections.section import ReportFigure, Section


def _build(run: Run) -> ReportFigure:
    drawing = run.layout_file
    assert drawing is not None  # the section is wanted only then
    return ReportFigure(
        "layout-file",
        "The layout file",
        "The chip in the layout file and one of its corners, pillar by pillar",
        "Drawn from the layout file as it was read back and found equal to the design. Left, the "
        "metasurface with its four alignment marks and its label; red and blue are the apertures "
        "of positive and negative parts. Right, the upper left corner of the first sub-optic, "
        "from that corner; grey lines part the cells of the design.",
        lambda: draw_layout_file(drawing),
    )


LAYOUT_FILE = Section(
    "layout_file", wanted=lambda run: run.layout_file is not None, build=lambda run: [_build(run)]
)
