"""The layout file as it was read back: the chip with its marks, and one corner pillar by pillar."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hybridonn.core.errors import ArtefactError
from hybridonn.optics.layout.layout_reading import LayoutFile
from hybridonn.reports.artefacts.reading import read_json, refusal
from hybridonn.reports.figures.style import FAINT, INK, NEGATIVE, POSITIVE, WIDTH_IN, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CORNER_CELLS = 8  # along a side of the corner that is shown: squares that an eye can tell apart
MM, UM = 1e6, 1e3  # in nanometres

Box = tuple[float, float, float, float]  # left, lower, right, upper edge
Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class LayoutDrawing:
    """The little of a layout file that a page can show; lengths in nanometres, y up.

    Attributes:
        outline: Of the metasurface.
        bounds: Of all that the file holds.
        apertures: Of the sub-optics; kernel by kernel, positive and negative part.
        marks: Corners of the alignment marks.
        label: Corners of the letters' polygons.
        pillars: In the upper left corner of the first sub-optic, from that corner.
        corner: Side of the square that ``pillars`` covers.
        cell: Side of a cell.
        cleared: Whether the space between the pillars is drawn.
    """

    outline: Box
    bounds: Box
    apertures: tuple[Box, ...]
    marks: tuple[Points, ...]
    label: tuple[Points, ...]
    pillars: tuple[Box, ...]
    corner: float
    cell: float
    cleared: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists."""
        return asdict(self)

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> LayoutDrawing:
        """The drawing that :meth:`to_dict` wrote.

        Raises:
            ArtefactError: A key is missing or a value is of the wrong kind.
        """
        try:
            apertures, pillars = (_read_boxes(tree[key]) for key in ("apertures", "pillars"))
            marks, label = (tuple(map(_read_points, tree[key])) for key in ("marks", "label"))
            (outline,), (bounds,) = _read_boxes([tree["outline"]]), _read_boxes([tree["bounds"]])
            corner, cell, cleared = _read(tree["corner"]), _read(tree["cell"]), tree["cleared"]
        except KeyError as error:
            raise ArtefactError(f"the drawing lacks the key {error}") from None
        except (TypeError, ValueError, OverflowError) as error:
            raise ArtefactError(f"the drawing holds a value of the wrong kind: {error}") from None
        return cls(
            outline, bounds, apertures, marks, label, pillars, corner, cell, cleared=bool(cleared)
        )


def read_drawing(folder: Path) -> LayoutDrawing | None:
    """The layout file of a run; None where there is none, or one of an earlier design.

    Raises:
        ArtefactError: The record of the file is damaged.
    """
    path, command = folder / "layout_file.json", "hybridonn export-layout"
    if not path.exists():
        return None
    record = read_json(path, command)
    stage = read_json(folder / "metasurface" / "stage.json", "the metasurface stage")
    if record.get("metasurface") != stage.get("fingerprint"):
        return None
    try:
        return LayoutDrawing.from_dict(record.get("drawing", {}))
    except ArtefactError as error:
        raise ArtefactError(refusal(path, command, str(error))) from None


def pick_drawing(found: LayoutFile) -> LayoutDrawing:
    """Take from a layout file what its picture shows."""
    rows, columns = found.widths.shape[2:]
    size = np.array([columns, rows]) * found.cell_nm
    corners = found.corners_nm.reshape(-1, 2)
    shown = found.widths[0, 0, :CORNER_CELLS, :CORNER_CELLS]
    pillars = [
        boxes + np.tile([column * found.cell_nm, -(row + 1) * found.cell_nm], 2)
        for (row, column), width in np.ndenumerate(shown)
        for boxes in (found.pillars_nm.get(int(width), np.empty((0, 4))),)
    ]
    return LayoutDrawing(
        outline=_read_boxes([found.outline_nm])[0],
        bounds=_read_boxes([found.bounds_nm])[0],
        apertures=_read_boxes(np.concatenate([corners, corners + size], axis=1)),
        marks=tuple(_read_points(mark) for mark in found.marks_nm),
        label=tuple(_read_points(shape) for shape in found.label_nm),
        pillars=_read_boxes(np.concatenate(pillars)),
        corner=max(shown.shape) * found.cell_nm,
        cell=found.cell_nm,
        cleared=found.cleared,
    )


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


def _read_boxes(boxes: Any) -> tuple[Box, ...]:
    return tuple((_read(a), _read(b), _read(c), _read(d)) for a, b, c, d in boxes)


def _read_points(points: Any) -> Points:
    return tuple((_read(x), _read(y)) for x, y in points)


def _read(value: Any) -> float:
    if isinstance(value, bool | str) or not isfinite(value):
        raise ValueError(f"{value!r} is no length")
    return float(value)
