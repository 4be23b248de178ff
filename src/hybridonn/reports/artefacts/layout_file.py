"""A layout file as it was read back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from hybridonn.core.errors import ArtefactError
from hybridonn.optics.layout.layout_reading import LayoutFile
from hybridonn.reports.artefacts.reading import read_json, refusal

CORNER_CELLS = 8  # along a side of the corner that is shown: squares that an eye can tell apart


Box = tuple[float, float, float, float]  # left, lower, right, upper edge


Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class LayoutDrawing:
    """The little of a layout file that a page can show; lengths in nanometres, y up.

    Attributes:
        outline: Outline of the metasurface.
        bounds: Bounds of all that the file holds.
        apertures: Apertures of the sub-optics; kernel by kernel, positive and negative part.
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
        if not 0 < cell <= corner <= (CORNER_CELLS + 1) * cell:
            raise ArtefactError(
                f"the drawing shows a corner of {corner:g} nm in cells of {cell:g} nm; "
                f"{CORNER_CELLS} cells are shown"
            )
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
    """Take from a layout file what its figure shows."""
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


def _read_boxes(boxes: Any) -> tuple[Box, ...]:
    return tuple((_read(a), _read(b), _read(c), _read(d)) for a, b, c, d in boxes)


def _read_points(points: Any) -> Points:
    return tuple((_read(x), _read(y)) for x, y in points)


def _read(value: Any) -> float:
    if isinstance(value, bool | str) or not isfinite(value):
        raise ValueError(f"{value!r} is no length")
    return float(value)
