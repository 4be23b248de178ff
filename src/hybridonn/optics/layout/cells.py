"""The cells of a layout file, in the units that gdstk writes: micrometres.

Every length is a whole number of steps of the database before it becomes micrometres, so
that nothing is rounded on the way into the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from hybridonn.optics.metasurface.design_rules import first_edge
from hybridonn.optics.metasurface.pillar_map import NM, ChipDesign

if TYPE_CHECKING:
    import gdstk

# (layer, datatype) of everything in the file; docs of write_layout say what each is for.
PILLARS = (1, 0)
CLEARED = (1, 1)
MARKS = (2, 0)
LABEL = (3, 0)
APERTURES = (4, 0)
OUTLINE = (5, 0)

# Of the marks, in metres: easy to find at low magnification and wide enough for any process.
MARK_ARM_M = 200e-6
MARK_BAR_M = 10e-6
MARK_AWAY_M = 200e-6  # the centre of a cross from the corner of the metasurface, in x and y
LABEL_HEIGHT_M = 100e-6  # at most; a long label on a small chip is written smaller

SIGNS = ("POSITIVE", "NEGATIVE")


def name_sub_optic(kernel: int, part: int) -> str:
    """The cell of a kernel's part: ``K003_POSITIVE``."""
    return f"K{kernel:03d}_{SIGNS[part]}"


def parse_sub_optic(name: str) -> tuple[int, int] | None:
    """Kernel and part of a cell's name; None: the cell is no sub-optic."""
    found = re.fullmatch(r"K(\d{3,})_(POSITIVE|NEGATIVE)", name)
    return (int(found[1]), SIGNS.index(found[2])) if found else None


def name_chip(label: str) -> str:
    """The top cell: the label in the characters and the length that GDSII allows."""
    return "CHIP_" + re.sub(r"[^A-Za-z0-9_]", "_", label)[:27]


def make_pillar_cells(design: ChipDesign, step_m: float, cleared: bool) -> dict[int, gdstk.Cell]:
    """One cell a width: the square pillars of one design cell, its corner at the origin.

    Args:
        design: The chip.
        step_m: The step of the database.
        cleared: Draw what lies between the pillars, not the pillars.
    """
    import gdstk

    micron, period, count = step_m * 1e6, round(design.period_m / step_m), design.cell_pillars
    cells = {}
    for width in np.unique(design.widths).tolist():
        if width == 0 and not cleared:
            continue
        cell = cells[width] = gdstk.Cell(f"W{width:03d}")
        side = width * round(NM / step_m)
        start = int(first_edge(np.array(side), period))
        if cleared:
            boxes = list(_between(start, side, period, count))
            cell.add(*(_box(box, micron, CLEARED) for box in boxes))
            continue
        pillar = _box((start, start, start + side, start + side), micron, PILLARS)
        if count > 1:
            spacing = (period * micron, period * micron)
            pillar.repetition = gdstk.Repetition(columns=count, rows=count, spacing=spacing)
        cell.add(pillar)
    return cells


def make_sub_optic(
    design: ChipDesign, kernel: int, part: int, step_m: float, pillars: dict[int, Any]
) -> gdstk.Cell:
    """A sub-optic, its lower left corner at the origin: each width's cell where it belongs.

    Memory: 16 bytes a cell with pillars.
    """
    import gdstk

    micron, pitch = step_m * 1e6, round(design.cell_m / step_m)
    rows = design.widths[kernel, part, ::-1]
    sub_optic = gdstk.Cell(name_sub_optic(kernel, part))
    across, up = (n * pitch for n in reversed(rows.shape))
    sub_optic.add(_box((0, 0, across, up), micron, APERTURES))
    order = np.argsort(rows, axis=None, kind="stable")
    widths, starts = np.unique(rows.ravel()[order], return_index=True)
    for width, places in zip(widths.tolist(), np.split(order, starts[1:]), strict=True):
        if width not in pillars:
            continue
        row, column = np.divmod(places, rows.shape[1])
        points = np.stack([column, row], axis=1) * (pitch * micron)
        reference = gdstk.Reference(pillars[width], tuple(points[0]))
        if len(points) > 1:
            reference.repetition = gdstk.Repetition(offsets=points[1:] - points[0])
        sub_optic.add(reference)
    return sub_optic


def make_chip(design: ChipDesign, step_m: float, label: str, sub_optics: Any) -> gdstk.Cell:
    """The top cell: sub-optics on their sites, four crosses, label and outline."""
    import gdstk

    micron = step_m * 1e6
    chip = gdstk.Cell(name_chip(label))
    for kernel, part, _ in design.sites():
        x, y = place_sub_optic(design, kernel, part, step_m)
        chip.add(gdstk.Reference(sub_optics[kernel, part], (x * micron, y * micron)))
    half_x, half_y = (
        round(length / 2 / step_m) for length in (design.layout.width_m, design.layout.height_m)
    )
    chip.add(_box((-half_x, -half_y, half_x, half_y), micron, OUTLINE))
    away = round(MARK_AWAY_M / step_m)
    for x in (-half_x - away, half_x + away):
        for y in (-half_y - away, half_y + away):
            chip.add(_cross(x, y, step_m))
    # Between the two lower marks, centred; gdstk's letters are 9/16 as wide as high.
    room = 2 * ((half_x + away) * micron - MARK_ARM_M * 1e6)
    size = min(LABEL_HEIGHT_M * 1e6, room / (len(label) * 9 / 16))
    corner = (-len(label) * size * 9 / 32, -(half_y + away) * micron - size / 2)
    chip.add(*gdstk.text(label, size, corner, layer=LABEL[0], datatype=LABEL[1]))
    return chip


def place_sub_optic(design: ChipDesign, kernel: int, part: int, step_m: float) -> tuple[int, int]:
    """Lower left corner of a sub-optic on the chip, in steps, rounded to the nearest one."""
    site = next(site for k, p, site in design.sites() if (k, p) == (kernel, part))
    width, height = design.aperture_m
    return round((site.x_m - width / 2) / step_m), round((site.y_m - height / 2) / step_m)


def _between(start: int, side: int, period: int, count: int) -> Iterator[tuple[int, int, int, int]]:
    """A cell without its pillars, as boxes that do not overlap: full rows, then what is left."""
    pitch = period * count
    if not side:
        yield 0, 0, pitch, pitch
        return
    edges = [0, *(k * period + start + end for k in range(count) for end in (0, side)), pitch]
    free = [(low, high) for low, high in zip(edges[::2], edges[1::2], strict=True) if high > low]
    taken = zip(edges[1:-1:2], edges[2:-1:2], strict=True)
    yield from ((0, low, pitch, high) for low, high in free)
    yield from ((left, low, right, high) for low, high in taken for left, right in free)


def _box(box: tuple[int, int, int, int], micron: float, layer: tuple[int, int]) -> gdstk.Polygon:
    import gdstk

    left, low, right, high = (steps * micron for steps in box)
    return gdstk.rectangle((left, low), (right, high), layer=layer[0], datatype=layer[1])


def _cross(x: int, y: int, step_m: float) -> gdstk.Polygon:
    import gdstk

    arm, bar = round(MARK_ARM_M / 2 / step_m), round(MARK_BAR_M / 2 / step_m)
    quarter = np.array([(arm, -bar), (arm, bar), (bar, bar)])
    turn = np.array([(0, 1), (-1, 0)])  # a quarter turn to the left
    corners = np.concatenate([quarter @ np.linalg.matrix_power(turn, k) for k in range(4)])
    points = (corners + np.array([x, y])) * (step_m * 1e6)
    return gdstk.Polygon(points.tolist(), layer=MARKS[0], datatype=MARKS[1])
