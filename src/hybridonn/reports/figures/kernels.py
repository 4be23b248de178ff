"""The learned kernels, and the two point spread functions that light makes of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hybridonn.reports.figures.style import INK, WIDTH_IN, bare, diverging, styled, zero_white

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# In sides of one small square: a signed kernel is two wide, its two parts stand beside it.
SIGNED, SMALL, SPACE = 2.0, 0.94, 0.12
CELL_WIDTH = SIGNED + 1 + SPACE
GUTTER = 0.75
HEAD = 0.62  # room for the kernel's number
BAR_IN = 1.0  # room for the colour bar
MOST_SQUARES = 1500  # weights up to which an SVG draws each as a square of its own


@styled
def draw_kernels(kernels: np.ndarray, wavelengths_nm: np.ndarray | None = None) -> Figure:
    """Draw every signed kernel with its positive and negative PSF, all on one scale.

    Args:
        kernels: Signed kernels, (K, C, k, k).
        wavelengths_nm: Wavelengths of the C bands, (C,); None: not stated.
    """
    from matplotlib.figure import Figure

    count, bands = kernels.shape[:2]
    columns = min(count, 4 if bands == 1 and count <= 16 else 8)
    rows = -(-count // columns)
    left = 0.2 if bands == 1 and wavelengths_nm is None else 1.4
    width = left + columns * (CELL_WIDTH + GUTTER) - GUTTER + 0.5
    cell_height = HEAD + bands * (SIGNED + SPACE) + 0.3
    height = rows * cell_height
    # Few kernels must not be blown up: never more than 0.62 inch a unit.
    inch = min((WIDTH_IN - BAR_IN) / width, 0.62)
    figure = Figure(figsize=(width * inch + BAR_IN, height * inch + 0.25), layout="constrained")
    axes = bare(figure.add_subplot())
    axes.set_xlim(-left, width - left)
    axes.set_ylim(height, 0)
    if kernels.size > MOST_SQUARES:
        axes.set_rasterization_zorder(1)
    norm = zero_white(kernels)
    for index, kernel in enumerate(kernels):
        row, column = divmod(index, columns)
        corner = (column * (CELL_WIDTH + GUTTER), row * cell_height)
        drawn = _draw_cell(axes, kernel, corner, f"kernel {index}", norm)
        if column == 0:
            _name_bands(axes, bands, corner, wavelengths_nm)
    bar = figure.colorbar(drawn, ax=axes, shrink=min(1.0, 3 / (height * inch)), aspect=18, pad=0.01)
    bar.set_label("weight")
    return figure


def _draw_cell(
    axes: Axes, kernel: np.ndarray, corner: tuple[float, float], title: str, norm: Any
) -> Any:
    left, top = corner
    axes.text(left, top + HEAD - 0.12, title, ha="left", va="bottom", fontweight="bold")
    top += HEAD
    for band in kernel:
        small = left + SIGNED + SPACE
        drawn = _draw_square(axes, band, (left, top), SIGNED, norm)
        _draw_square(axes, np.maximum(band, 0), (small, top), SMALL, norm)
        below = (small, top + SIGNED - SMALL)
        _draw_square(axes, np.minimum(band, 0), below, SMALL, norm)
        for sign, y in (("+", top), ("−", below[1])):
            place = (small + SMALL + 0.07, y + SMALL / 2)
            axes.text(*place, sign, ha="left", va="center", fontsize=10)
        top += SIGNED + SPACE
    return drawn


def _draw_square(
    axes: Axes, values: np.ndarray, corner: tuple[float, float], side: float, norm: Any
) -> Any:
    x = np.linspace(corner[0], corner[0] + side, values.shape[1] + 1)
    y = np.linspace(corner[1], corner[1] + side, values.shape[0] + 1)
    mesh = axes.pcolormesh(x, y, values, cmap=diverging(), norm=norm, zorder=0.5)
    frame_x = [x[0], x[-1], x[-1], x[0], x[0]]
    frame_y = [y[0], y[0], y[-1], y[-1], y[0]]
    axes.plot(frame_x, frame_y, color=INK, linewidth=0.6)
    return mesh


def _name_bands(
    axes: Axes, bands: int, corner: tuple[float, float], wavelengths_nm: np.ndarray | None
) -> None:
    for band in range(bands):
        y = corner[1] + HEAD + band * (SIGNED + SPACE) + SIGNED / 2
        name = f"band {band}" if wavelengths_nm is None else f"{wavelengths_nm[band]:.5g} nm"
        if bands > 1 or wavelengths_nm is not None:
            axes.text(corner[0] - 0.2, y, name, ha="right", va="center", rotation=90)
