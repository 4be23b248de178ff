"""The designed pillars: their widths and phases, what they are made of, and the numbers of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hybridonn.reports.artefacts.pillar_maps import WidthMaps
from hybridonn.reports.figures.style import WIDTH_IN, framed, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

MOST_CELLS = 400  # along a side of a map: more than the page has dots for
CLOSE_CELLS = 24  # along a side of the enlarged middle: squares that an eye can tell apart


@styled
def draw_width_maps(maps: WidthMaps) -> Figure:
    """Draw widths and phases of both parts: the whole sub-optics, and their middle enlarged."""
    from matplotlib.figure import Figure

    names = [f"phase at {wavelength:g} nm" for wavelength in maps.wavelengths_nm]
    titles = ["width", *names, "width, middle", f"{names[0]}, middle"]
    cell = WIDTH_IN / (len(titles) + 0.7)
    figure = Figure(figsize=(WIDTH_IN, 2 * cell + 1.3), layout="constrained")
    rows = figure.subplots(2, len(titles), squeeze=False)
    shown: list[AxesImage] = []
    step = count_step(maps)
    for part, sign in enumerate("+−"):
        planes = [maps.widths_nm[part], *maps.phases[:, part]]
        # Cells at even distances: means of neighbours would show widths that nothing has.
        whole = [plane[::step, ::step] for plane in planes]
        close = [_enlarge(plane) for plane in planes[:2]]
        shown = [
            _draw_map(axes, plane, maps.widths_nm)
            for axes, plane in zip(rows[part], [*whole, *close], strict=True)
        ]
        rows[part, 0].set_ylabel(f"kernel {maps.kernel}{sign}")
    for axes, title in zip(rows[0], titles, strict=True):
        axes.set_title(title.replace(", ", "\n"), fontsize=9, fontweight="normal", loc="center")
    cells = maps.widths_nm.shape[-1]
    sides = [cells] * (len(titles) - 2) + [min(CLOSE_CELLS, cells)] * 2
    for axes, side in zip(rows[1], sides, strict=True):
        axes.set_xlabel(f"{side:,} cells, {side * maps.cell_um:.4g} µm", fontsize=8.5)
    look = {"location": "bottom", "aspect": 30, "pad": 0.03}
    middle = (len(titles) + 1) // 2
    bar = figure.colorbar(shown[0], ax=list(rows[:, :middle].ravel()), shrink=0.7, **look)
    bar.set_label("width (nm)")
    bar = figure.colorbar(shown[1], ax=list(rows[:, middle:].ravel()), shrink=0.7, **look)
    bar.set_label("phase (2π)")
    return figure


def count_step(maps: WidthMaps) -> int:
    """Distance of the cells that a map shows, along a side; 1: it shows all of them."""
    return -(-maps.widths_nm.shape[-1] // MOST_CELLS)


def _draw_map(axes: Axes, plane: np.ndarray, widths_nm: np.ndarray) -> AxesImage:
    look: dict[str, Any] = {"cmap": "twilight", "vmin": 0, "vmax": 1}
    if plane.dtype.kind == "u":
        look = {"cmap": "viridis", "vmin": widths_nm.min(), "vmax": widths_nm.max()}
    return framed(axes).imshow(plane, interpolation="nearest", **look)


def _enlarge(plane: np.ndarray) -> np.ndarray:
    side = min(CLOSE_CELLS, plane.shape[-1])
    first = (plane.shape[-1] - side) // 2
    return plane[first : first + side, first : first + side]
