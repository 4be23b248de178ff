"""Measured against simulated: the frames by which a user judges an import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hybridonn.reports.figures.style import WIDTH_IN, diverging, framed, styled, zero_white

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL_IN = 1.05  # side of the frame of a sub-optic
NAME_IN = 0.9
MOST_COLUMNS = 8


@styled
def draw_registration(
    simulated: np.ndarray, measured: np.ndarray, sub_optics: Sequence[Mapping[str, Any]]
) -> Figure:
    """Draw the frame of each sub-optic as simulated, as measured, and their difference.

    All on one scale: the brightest simulated frame. Below each, what registration found.

    Args:
        simulated: Mean frames over the fitted images, (2 K, H, W).
        measured: The same, registered and with its gain, (2 K, H, W).
        sub_optics: ``sub_optic``, ``correlation``, ``shift_y_pixels``, ``shift_x_pixels`` and
            ``rotation_degrees`` of each.
    """
    names = [str(one["sub_optic"]) for one in sub_optics]
    notes = [_describe(one) for one in sub_optics]
    return draw_pairs(("simulated", simulated), ("measured", measured), names, notes)


@styled
def draw_psfs(designed: np.ndarray, measured: np.ndarray) -> Figure:
    """Draw each point spread function as designed, as measured, and their difference.

    Args:
        designed: (K, 2, C, P, P).
        measured: The same shape.
    """
    kernels, _, colours = designed.shape[:3]
    names = [
        f"{kernel}{sign}" + (f" colour {colour}" if colours > 1 else "")
        for kernel in range(kernels)
        for sign in "+-"
        for colour in range(colours)
    ]
    one, other = (psfs.reshape(-1, *psfs.shape[3:]) for psfs in (designed, measured))
    notes = [f"r = {_correlate(*pair):.3f}" for pair in zip(one, other, strict=True)]
    return draw_pairs(("designed", one), ("measured", other), names, notes)


def draw_pairs(
    wanted: tuple[str, np.ndarray],
    found: tuple[str, np.ndarray],
    names: Sequence[str],
    notes: Sequence[str],
    unit: str = "light, in units of the simulation",
) -> Figure:
    """Draw pairs of frames or other planes, with their differences below them, on one scale.

    Args:
        wanted: Name of the first row, and its planes, (N, H, W).
        found: Values of the second row, likewise.
        names: Above each pair.
        notes: Below each pair.
        unit: Unit of the scale.
    """
    from matplotlib.figure import Figure

    (first, simulated), (second, measured) = wanted, found
    row_names = (first, second, "difference")
    count = len(names)
    blocks = -(-count // MOST_COLUMNS)
    columns = -(-count // blocks)
    width = min(WIDTH_IN, NAME_IN + columns * CELL_IN + 0.9)
    figure = Figure(figsize=(width, blocks * (3 * CELL_IN + 0.75)), layout="constrained")
    rows = figure.subplots(3 * blocks, columns, squeeze=False)
    norm = zero_white(simulated)
    drawn = None
    for number in range(blocks * columns):
        block, column = divmod(number, columns)
        cells = rows[3 * block : 3 * block + 3, column]
        if number >= count:
            for axes in cells:
                axes.set_axis_off()
            continue
        shown = (simulated[number], measured[number], measured[number] - simulated[number])
        for axes, plane, name in zip(cells, shown, row_names, strict=True):
            drawn = framed(axes).imshow(plane, cmap=diverging(), norm=norm, interpolation="nearest")
            if column == 0:
                axes.set_ylabel(name)
        cells[0].set_title(names[number], loc="center")
        cells[2].set_xlabel(notes[number], fontsize=7.5)
    if drawn is not None:
        bar = figure.colorbar(drawn, ax=rows, aspect=40, shrink=min(1.0, 1.5 / blocks), pad=0.01)
        bar.set_label(unit)
    return figure


def _describe(one: Mapping[str, Any]) -> str:
    return (
        f"r = {one['correlation']:.3f}\n"
        f"{one['shift_y_pixels']:+z.2f}, {one['shift_x_pixels']:+z.2f} px\n"
        f"{one['rotation_degrees']:+z.2f}°"
    )


def _correlate(one: np.ndarray, other: np.ndarray) -> float:
    x, y = one - one.mean(), other - other.mean()
    spread = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / spread if spread else 0.0
