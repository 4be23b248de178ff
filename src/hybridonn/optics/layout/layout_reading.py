"""Reads a layout file back into the design that it holds, shape by shape.

The library of layout files, gdstk, crashes on many damaged ones. So a file from elsewhere is read
in a process of its own, within bounds that a sound file of its size keeps many times over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from hybridonn.core.errors import ArtefactError
from hybridonn.core.isolation import IsolationError, read_isolated
from hybridonn.optics.layout.cells import (
    APERTURES,
    CLEARED,
    LABEL,
    MARKS,
    OUTLINE,
    PILLARS,
    parse_sub_optic,
    place_sub_optic,
)
from hybridonn.optics.metasurface.pillar_map import NM, PARTS, ChipDesign

# A chip of 32 sub-optics takes 12 bytes of memory a byte of OASIS to write and check, and 49 s for
# 173 MB on one core.
LEAST_GB, MEMORY_A_BYTE = 0.5, 24
LEAST_S, BYTES_A_SECOND = 20.0, 1e6


@dataclass(frozen=True)
class LayoutFile:
    """What a layout file holds; lengths from the centre of the chip, y up.

    Attributes:
        widths: Widths of the pillars in nanometres, (K, 2, H, W) uint16, row 0 uppermost.
        pillars_nm: Edges of the pillars of one cell, by width: (P, 4) left, lower, right, upper.
        corners_nm: Lower left corner of each sub-optic, (K, 2, 2).
        cell_nm: Side of a cell.
        outline_nm: Edges of the metasurface, (4,): left, lower, right, upper.
        bounds_nm: Edges of all that the file holds, (4,): left, lower, right, upper.
        marks_nm: Corners of the alignment marks, (M, P, 2).
        label_nm: Corners of the letters' polygons, each (P, 2).
        cleared: Whether the space between the pillars is drawn.
        step_nm: The step of the database.
    """

    widths: np.ndarray
    pillars_nm: dict[int, np.ndarray]
    corners_nm: np.ndarray
    cell_nm: float
    outline_nm: np.ndarray
    bounds_nm: np.ndarray
    marks_nm: np.ndarray
    label_nm: tuple[np.ndarray, ...]
    cleared: bool
    step_nm: float


def read_layout(path: Path, period_m: float, cell_pillars: int = 2) -> LayoutFile:
    """Read a layout file that may have been changed or damaged since this software wrote it.

    Args:
        path: OASIS by its checksum, or GDSII where the name ends in .gds.
        period_m: Distance of neighbouring pillars.
        cell_pillars: Pillars along the side of a cell.

    Raises:
        ArtefactError: As :func:`read_own_layout`, or gdstk crashes on the file, or reading it
            takes more memory or time than a sound file of its size.
    """
    size = path.stat().st_size if path.is_file() else 0
    try:
        found = read_isolated(
            _read_fields,
            path,
            period_m,
            cell_pillars,
            what=f"the layout file {path}",
            memory_gb=LEAST_GB + size * MEMORY_A_BYTE / 1e9,
            seconds=LEAST_S + size / BYTES_A_SECOND,
        )
    except IsolationError as error:
        _refuse(path, error.found)
    return LayoutFile(**found)


def _read_fields(path: Path, period_m: float, cell_pillars: int) -> dict[str, Any]:
    return vars(read_own_layout(path, period_m, cell_pillars))


def read_own_layout(path: Path, period_m: float, cell_pillars: int = 2) -> LayoutFile:
    """Read a layout file that this process has just written.

    The widths are measured on the pillars that are drawn, not taken from names.

    Args:
        path: OASIS by its checksum, or GDSII where the name ends in .gds.
        period_m: Distance of neighbouring pillars.
        cell_pillars: Pillars along the side of a cell.

    Raises:
        ArtefactError: The file is missing or damaged, or holds something else: shapes that
            are no square pillars, a cell off the grid, two on one place, or other cells.
    """
    library = _load(path)
    step_nm = library.precision / NM
    if not 0 < step_nm < inf:
        _refuse(path, f"its coordinates are in steps of {step_nm:g} nm")
    cells = {cell.name: cell for cell in library.cells}
    top = library.top_level()
    if len(top) != 1:
        _refuse(path, f"it has {len(top)} top cells, not one chip")
    chip = top[0]
    cell_nm = float(_round(cell_pillars * period_m / NM))
    shapes = {
        name: _measure(cell, cell_nm, cell_pillars, path)
        for name, cell in cells.items()
        if cell is not chip and parse_sub_optic(name) is None
    }
    _refuse_turned(chip, path)
    placed = {parse_sub_optic(ref.cell_name): ref for ref in chip.references}
    kernels = len(placed) // 2
    if set(placed) != {(k, part) for k in range(kernels) for part in (0, 1)} or not placed:
        _refuse(path, f"{chip.name} does not hold each kernel's two parts once")
    planes = {
        key: _fill(cells[ref.cell_name], cell_nm, shapes, path) for key, ref in placed.items()
    }
    if len({plane.shape for plane in planes.values()}) != 1:
        _refuse(path, "its sub-optics differ in size")
    widths = np.stack([np.stack([planes[k, part] for part in (0, 1)]) for k in range(kernels)])
    corners = [[placed[k, part].origin for part in (0, 1)] for k in range(kernels)]
    outline = next(iter(_polygons(chip, OUTLINE)), None)
    if outline is None:
        _refuse(path, "the metasurface has no outline")
    return LayoutFile(
        widths=widths,
        pillars_nm={width: boxes for width, boxes, _ in shapes.values()},
        corners_nm=np.rint(np.array(corners) / step_nm) * step_nm,
        cell_nm=cell_nm,
        outline_nm=_round(_box_of(outline)),
        bounds_nm=_round(np.ravel(chip.bounding_box())),
        marks_nm=_round(np.array(_polygons(chip, MARKS))),
        label_nm=tuple(_round(points) for points in _polygons(chip, LABEL)),
        cleared=any(cleared for _, _, cleared in shapes.values()),
        step_nm=step_nm,
    )


def compare_design(found: LayoutFile, design: ChipDesign, path: Path) -> None:
    """Make sure that a file holds the design, every pillar of it in its place.

    Raises:
        ArtefactError: It does not; the message says what differs and where first.
    """
    if found.widths.shape != design.widths.shape:
        _refuse(path, f"it holds {found.widths.shape} cells, not {design.widths.shape}")
    if (unlike := found.widths != design.widths).any():
        place = tuple(np.argwhere(unlike)[0])
        kernel, part, row, column = place
        _refuse(
            path,
            f"{np.count_nonzero(unlike):,} cells differ from the design, the first in kernel "
            f"{kernel}, {PARTS[part]} part, row {row}, column {column}: "
            f"{found.widths[place]} nm for {design.widths[place]} nm",
        )
    step_m = found.step_nm * NM
    for kernel, part, _ in design.sites():
        wanted = np.array(place_sub_optic(design, kernel, part, step_m)) * found.step_nm
        corner = found.corners_nm[kernel, part]
        if not np.allclose(corner, wanted, rtol=0, atol=found.step_nm / 1e3):
            _refuse(
                path, f"kernel {kernel}, {PARTS[part]} part, lies at {corner} nm, not {wanted} nm"
            )


def _load(path: Path) -> Any:
    import gdstk

    try:
        path.open("rb").close()
        if path.suffix.lower() == ".gds":
            return gdstk.read_gds(path, unit=NM)
        if gdstk.oas_validate(path)[0] is not True:
            _refuse(path, "its checksum is missing or wrong")
        return gdstk.read_oas(path, unit=NM)
    except FileNotFoundError:
        raise ArtefactError(f"{path} is missing; run the command that makes it again") from None
    except (OSError, RuntimeError) as error:
        _refuse(path, str(error).rstrip("."))


def _measure(cell: Any, cell_nm: float, count: int, path: Path) -> tuple[int, np.ndarray, bool]:
    """Width and boxes of the pillars of one cell, and whether their surroundings are drawn."""
    if cell.references or cell.labels or cell.paths or not cell.polygons:
        _refuse(path, f"the cell {cell.name} is not made of pillars")
    layers = {(shape.layer, shape.datatype) for shape in cell.polygons}
    if layers not in ({PILLARS}, {CLEARED}):
        _refuse(path, f"the cell {cell.name} lies on the layers {sorted(layers)}")
    cleared = layers == {CLEARED}
    shapes = cell.get_polygons()
    boxes = _round(np.array([_box_of(np.asarray(shape.points)) for shape in shapes]))
    areas = np.array([shape.area() for shape in shapes])
    if np.abs(areas - np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)).max() > 1e-3:
        _refuse(path, f"the cell {cell.name} holds shapes that are not rectangles")
    if cleared:
        boxes = _uncovered(boxes, cell_nm, cell.name, path)
    sides = boxes[:, 2:] - boxes[:, :2]
    width = int(sides[0, 0]) if len(boxes) else 0
    if (sides != width).any() or len(boxes) != (count**2 if width else 0):
        _refuse(path, f"the cell {cell.name} does not hold {count} x {count} equal squares")
    _check_places(boxes, width, cell_nm / count, count, cell.name, path)
    return width, boxes, cleared


def _uncovered(boxes: np.ndarray, cell_nm: float, name: str, path: Path) -> np.ndarray:
    """What rectangles leave free of a cell, as rectangles, (P, 4)."""
    x, y = (np.unique([*boxes[:, axis::2].ravel(), 0, cell_nm]) for axis in (0, 1))
    cover = np.zeros((len(x) - 1, len(y) - 1), int)
    for left, low, right, high in boxes:
        cover[
            slice(*np.searchsorted(x, (left, right))), slice(*np.searchsorted(y, (low, high)))
        ] += 1
    if cover.max() > 1 or x[0] < 0 or y[0] < 0 or max(x[-1], y[-1]) > cell_nm:
        _refuse(path, f"the shapes of the cell {name} overlap or leave it")
    i, j = np.nonzero(cover == 0)
    return np.stack([x[i], y[j], x[i + 1], y[j + 1]], axis=1)


def _check_places(
    boxes: np.ndarray, width: int, period_nm: float, count: int, name: str, path: Path
) -> None:
    # Half a step off the middle is the rule of first_edge, a whole nanometre is not.
    corners = {tuple(np.floor(box[:2] / period_nm).astype(int)) for box in boxes}
    away = boxes[:, :2] % period_nm - (period_nm - width) / 2
    if width and (len(corners) != count**2 or (np.abs(away) > 0.5 + 1e-6).any()):
        _refuse(path, f"the pillars of the cell {name} do not stand amid their periods")


def _fill(
    sub_optic: Any,
    cell_nm: float,
    shapes: dict[str, tuple[int, np.ndarray, bool]],
    path: Path,
) -> np.ndarray:
    """Widths of a sub-optic, (H, W), row 0 uppermost."""
    aperture = next(iter(_polygons(sub_optic, APERTURES)), None)
    if aperture is None or len(sub_optic.polygons) != 1:
        _refuse(path, f"{sub_optic.name} does not hold one aperture and pillars alone")
    box = _box_of(aperture)
    columns, rows = np.rint(box[2:] / cell_nm).astype(int)
    if np.abs(box - (0, 0, columns * cell_nm, rows * cell_nm)).max() > 1e-3:
        _refuse(path, f"the aperture of {sub_optic.name} is no whole number of cells")
    _refuse_turned(sub_optic, path)
    widths = np.zeros((rows, columns), np.uint16)
    places = 0
    for name, points in _placements(sub_optic):
        if name not in shapes:
            _refuse(path, f"{sub_optic.name} holds the cell {name}, which is no pillar")
        index = np.rint(points / cell_nm).astype(np.int64)
        if np.abs(points - index * cell_nm).max() > 1e-3:
            _refuse(path, f"a cell {name} of {sub_optic.name} stands off the grid")
        if (index < 0).any() or (index >= (columns, rows)).any():
            _refuse(path, f"a cell {name} of {sub_optic.name} stands outside its aperture")
        widths[index[:, 1], index[:, 0]] = shapes[name][0]
        places += len(index) if shapes[name][0] else 0
    if places != np.count_nonzero(widths):
        _refuse(path, f"two cells of {sub_optic.name} stand on one place")
    return widths[::-1]


def _refuse_turned(cell: Any, path: Path) -> None:
    for reference in cell.references:
        if reference.rotation or reference.x_reflection or reference.magnification != 1:
            _refuse(
                path, f"{cell.name} holds {reference.cell_name} turned, mirrored or of another size"
            )


def _placements(sub_optic: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Name of a cell and where it stands, (N, 2) in nanometres."""
    singles: dict[str, list[tuple[float, float]]] = {}
    for reference in sub_optic.references:
        offsets = reference.repetition.offsets
        if offsets is None:  # GDSII knows no lists of places
            singles.setdefault(reference.cell_name, []).append(reference.origin)
        else:
            origin = np.array([reference.origin])
            yield reference.cell_name, np.concatenate([origin, origin + offsets])
    for name, points in singles.items():
        yield name, np.array(points)


def _polygons(cell: Any, layer: tuple[int, int]) -> list[np.ndarray]:
    return [np.asarray(s.points) for s in cell.polygons if (s.layer, s.datatype) == layer]


def _box_of(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def _round(nanometres: Any) -> np.ndarray:
    """Without the last bits that micrometres in binary cost; steps are 0.5 or 1 nm."""
    return np.rint(2 * np.asarray(nanometres)) / 2


def _refuse(path: Path, found: str) -> NoReturn:
    raise ArtefactError(
        f"the layout file {path} cannot be used: {found}; write it again with "
        "hybridonn export-layout"
    ) from None
