"""What the designed metasurface does: its PSFs beside their targets, and its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hybridonn.reports.artefacts.metasurface import SimulatedOptics, name_resolutions, resize
from hybridonn.reports.figures.style import WIDTH_IN, diverging, framed, styled, zero_white

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.gridspec import GridSpec

MOST_KERNELS, MOST_ROWS = 4, 9  # a row is a kernel in one colour; more would not fit on a page
BRIGHTEST = 99.5  # per cent of the cells: single speckles would leave all else pale
COLUMNS = ("wanted", "camera", "light", "wanted", "camera", "light", "wanted", "got")
GROUPS = ((0, "positive part"), (3, "negative part"), (6, "signed kernel"))


@styled
def draw_optics(optics: SimulatedOptics) -> Figure:
    """Draw wanted and simulated PSFs of some kernels, a row for each colour of a kernel."""
    from matplotlib.figure import Figure

    colours = len(optics.wavelengths_nm)
    kernels = max(1, min(MOST_KERNELS, MOST_ROWS // colours, len(optics.light)))
    rows = [(place, colour) for place in range(kernels) for colour in range(colours)]
    cell = WIDTH_IN / 9.2
    figure = Figure(figsize=(WIDTH_IN, len(rows) * (cell + 0.06) + 0.75))
    top = 1 - 0.55 / figure.get_figheight()
    # Empty columns keep the three groups apart.
    widths = (1, 1, 1, 0.18, 1, 1, 1, 0.18, 1, 1)
    grid = figure.add_gridspec(
        len(rows), 10, left=0.075, right=0.995, top=top, bottom=0.02, hspace=0.06, wspace=0.06,
        width_ratios=widths,
    )  # fmt: skip
    for row, (place, colour) in enumerate(rows):
        _draw_row(figure, grid, row, optics, place, colour)
    return figure


def _draw_row(
    figure: Figure, grid: GridSpec, row: int, optics: SimulatedOptics, place: int, colour: int
) -> None:
    kernel = optics.shown[place]
    size = optics.sizes[kernel]
    wanted, got = (parts[kernel, :, colour] for parts in (optics.target, optics.psf))
    light = optics.light[place, :, colour]
    norm = zero_white(wanted, got)
    panels = []
    for part, sign in enumerate((1, -1)):
        brightest = float(np.percentile(light[part], BRIGHTEST)) or 1.0
        panels += [(sign * wanted[part], norm), (sign * got[part], norm)]
        panels.append((sign * light[part], zero_white(np.array(brightest))))
    signed = [resize(parts[0] - parts[1], size) for parts in (wanted, got)]
    panels += [(kernel_, zero_white(*signed)) for kernel_ in signed]
    margin = 0.5 - size / wanted.shape[-1] / 2
    for column, (plane, scale) in enumerate(panels):
        axes = framed(figure.add_subplot(grid[row, column + (column > 2) + (column > 5)]))
        look = {"cmap": diverging(), "norm": scale, "interpolation": "none"}
        axes.imshow(plane, extent=(0, 1, 0, 1), **look)
        if margin > 0 and column < 6:
            _frame_kernel(axes, margin)
        if row == 0:
            axes.set_title(COLUMNS[column], fontsize=9, fontweight="normal", loc="center", pad=4)
            for first, name in GROUPS:
                if column == first:
                    axes.annotate(
                        name, (0, 1), (0, 19), xycoords="axes fraction", fontweight="bold",
                        textcoords="offset points", ha="left", va="bottom",
                    )  # fmt: skip
        if column == 0:
            name = f"kernel {kernel}\n{optics.wavelengths_nm[colour]:g} nm"
            if name_resolutions(optics):
                side = optics.binnings[kernel]
                name += f"\nbinned {side}×{side}"
            axes.set_ylabel(name, fontsize=9)


def _frame_kernel(axes: Any, margin: float) -> None:
    from matplotlib.patches import Rectangle

    side = 1 - 2 * margin
    look = {"fill": False, "edgecolor": "#60666d", "linewidth": 0.7, "linestyle": (0, (3, 2))}
    axes.add_patch(Rectangle((margin, margin), side, side, **look))
