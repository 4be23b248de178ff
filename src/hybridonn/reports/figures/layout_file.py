"""The layout file as it was read back: the chip with its marks, and one corner pillar by pillar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hybridonn.reports.artefacts.layout_file import Box, LayoutDrawing, Points
from hybridonn.reports.figures.style import FAINT, INK, NEGATIVE, POSITIVE, WIDTH_IN, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MM, UM = 1e6, 1e3  # in nanometres


@styled
def draw_layout_file(drawing: LayoutDrawing) -> Figure:
    """Draw the whole chip in millimetres, and a corner of its first sub-optic in micrometres."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, 0.52 * WIDTH_IN), layout="constrained")
    chip, corner = figure.subplots(1, 2)
    _draw_chip(chip, drawing)
    _draw_corner(corner, drawing)
    return figure


def _draw_chip(axes: Axes, drawing: LayoutDrawing) -> None:
    from matplotlib.collections import PolyCollection

    def fill(shapes: list[Any], **look: Any) -> None:
        axes.add_collection(PolyCollection([np.array(s) / MM for s in shapes], **look))

    fill([_corners_of(drawing.outline)], facecolor="#f3f4f1", edgecolor=INK, linewidth=1.0)
    for part, colour in enumerate((POSITIVE, NEGATIVE)):
        fill([_corners_of(box) for box in drawing.apertures[part::2]], facecolor=colour)
    # The bars are thinner than a dot of the page: their edge makes them visible.
    fill(list(drawing.marks), facecolor=INK, edgecolor=INK, linewidth=0.8)
    fill(list(drawing.label), facecolor=INK)
    left, low, right, high = np.array(drawing.bounds) / MM
    margin = 0.04 * max(right - left, high - low)
    axes.set(xlim=(left - margin, right + margin), ylim=(low - margin, high + margin))
    axes.set(xlabel="x, mm", ylabel="y, mm", aspect="equal")
    axes.set_title(f"the whole chip: {len(drawing.apertures)} sub-optics")


def _draw_corner(axes: Axes, drawing: LayoutDrawing) -> None:
    from matplotlib.collections import PolyCollection

    side = drawing.corner / UM
    ground, pillar = (INK, "white") if drawing.cleared else ("white", INK)
    axes.set_facecolor(ground)
    lines = np.arange(drawing.cell, drawing.corner, drawing.cell) / UM
    axes.hlines(-lines, 0, side, colors=FAINT, linewidths=0.4)
    axes.vlines(lines, -side, 0, colors=FAINT, linewidths=0.4)
    squares = [np.array(_corners_of(box)) / UM for box in drawing.pillars]
    axes.add_collection(PolyCollection(squares, facecolor=pillar, zorder=2))
    axes.set(xlim=(0, side), ylim=(-side, 0), xlabel="x, µm", ylabel="y, µm", aspect="equal")
    drawn = "the space between the pillars" if drawing.cleared else "the pillars"
    axes.set_title(f"kernel 0, positive part, upper left: {drawn}")


def _corners_of(box: Box) -> Points:
    left, low, right, high = box
    return (left, low), (right, low), (right, high), (left, high)
