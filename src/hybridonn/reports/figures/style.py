"""One look for every figure: light, large enough to read, safe for colour-blind eyes."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.figure import Figure

# Petroff 2021 (arXiv:2107.02270): ten colours that colour-blind readers tell apart.
PALETTE = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
# The two ends of the diverging map RdBu, in every figure the positive and negative part.
POSITIVE = "#b2182b"
NEGATIVE = "#2166ac"
# ColorBrewer's RdBu from negative to positive, its grey middle made white: zero is white.
DIVERGING = (
    "#053061",
    "#2166ac",
    "#4393c3",
    "#92c5de",
    "#d1e5f0",
    "#ffffff",
    "#fddbc7",
    "#f4a582",
    "#d6604d",
    "#b2182b",
    "#67001f",
)
INK = "#1f2328"
FAINT = "#8a9199"
# Teacher and student, in every figure.
MODELS = {"teacher": "#717581", "student": "#3f6fb0"}
WIDTH_IN = 10.0  # of a figure that fills the report's column

RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.edgecolor": "#60666d",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": "#e3e6e8",
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "figure.facecolor": "white",
    "figure.constrained_layout.h_pad": 0.09,
    "figure.constrained_layout.w_pad": 0.09,
    "axes.facecolor": "white",
}

P = ParamSpec("P")


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Let a function draw in the house style and leave matplotlib's settings as they were."""

    @wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Figure:
        from matplotlib import rc_context

        with rc_context(RC):
            return draw(*args, **kwargs)

    return wrapped


def diverging() -> Colormap:
    """The map of signed values: blue below zero, white at zero, red above."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("diverging", DIVERGING, N=257)  # odd: zero has a step


def zero_white(*arrays: np.ndarray) -> Normalize:
    """The scale of the diverging map, the same up and down, over all values given."""
    from matplotlib.colors import Normalize

    largest = max((float(np.abs(array).max()) for array in arrays if array.size), default=0.0)
    largest = largest or 1.0  # all zero: any scale shows white
    return Normalize(-largest, largest)


def framed(axes: Axes) -> Axes:
    """Leave only a thin frame: the axes show an image whose edge may be white."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(visible=True, color="#a9afb5", linewidth=0.7)
    return axes


def bare(axes: Axes) -> Axes:
    """Take ticks, labels and frame away: the axes show an image, not a graph."""
    axes.set_axis_off()
    axes.set_aspect("equal")
    return axes


def colour_of(index: int) -> str:
    """The colour of a class or a curve."""
    return PALETTE[index % len(PALETTE)]


def marker_of(index: int) -> str:
    """The marker of a class, which changes where the colours begin anew."""
    return MARKERS[(index // len(PALETTE)) % len(MARKERS)]
