"""Which classes a network takes for which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hybridonn.reports.artefacts.predictions import Predictions
from hybridonn.reports.figures.style import WIDTH_IN, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

MOST_COUNTS = 20  # classes up to which the counts in the cells can be read


def count_confusions(predictions: Predictions) -> np.ndarray:
    """How often each true class (row) is taken for each class (column), (classes, classes)."""
    classes = predictions.classes
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (predictions.labels, predictions.predicted), 1)
    return counts


@styled
def draw_confusion(predictions: Mapping[str, Predictions], classes: Sequence[str]) -> Figure:
    """Draw the confusion matrices of the networks side by side.

    Args:
        predictions: By network, on the same test set.
        classes: Names of the classes.
    """
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure

    # Beside a diagonal near 100 % single errors would vanish on an even scale.
    norm = PowerNorm(0.4, 0, 100)
    many = len(classes) > MOST_COUNTS
    stacked = MOST_COUNTS >= len(classes) > 12  # side by side the counts would be too small
    shape = (len(predictions), 1) if stacked else (1, len(predictions))
    size = (WIDTH_IN, 8.6 * len(predictions)) if stacked else (WIDTH_IN, 5.0 + many * 0.4)
    if len(predictions) == 1 and not stacked:
        size = (6.5, 5.6)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(*shape, squeeze=False).ravel()
    for axes, (name, one) in zip(panels, predictions.items(), strict=True):
        counts = count_confusions(one)
        _draw_matrix(axes, counts, classes, norm)
        axes.set_title(f"{name.capitalize()}: {counts.trace():,} of {one.total:,} right")
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class")
    place = "bottom" if not stacked and len(predictions) > 1 else "right"
    bar = figure.colorbar(
        panels[0].images[0], ax=list(panels), location=place, aspect=45, shrink=0.6, pad=0.02
    )
    bar.set_label("% of the true class (scale stretched at the low end)")
    bar.set_ticks([0, 1, 5, 20, 50, 100])
    return figure


def _draw_matrix(axes: Axes, counts: np.ndarray, classes: Sequence[str], norm: Normalize) -> None:
    totals = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    percent = 100 * counts / totals
    axes.imshow(percent, cmap="Blues", norm=norm, interpolation="none")
    for spine in axes.spines.values():
        spine.set_visible(True)
    _name_classes(axes, classes)
    if len(classes) <= MOST_COUNTS:
        for row, column in zip(*np.nonzero(counts), strict=True):
            colour = "white" if percent[row, column] > 25 else "#1f2328"
            look = {"ha": "center", "va": "center", "color": colour, "fontsize": 8.5}
            axes.text(column, row, str(counts[row, column]), **look)


def _name_classes(axes: Axes, classes: Sequence[str]) -> None:
    step = max(1, -(-len(classes) // 32))  # more names than these cannot be read
    ticks = range(0, len(classes), step)
    names = [shorten(classes[index]) for index in ticks]
    size = 9 if len(classes) <= MOST_COUNTS else 7
    turned = max(map(len, names)) > 2
    axes.set_xticks(ticks, names, rotation=90 if turned else 0, fontsize=size)
    axes.set_yticks(ticks, names, fontsize=size)
    axes.tick_params(length=0)


def shorten(name: str, longest: int = 14) -> str:
    """A class name that fits beside a figure; a dollar sign is no formula."""
    head = longest * 2 // 3
    short = name if len(name) <= longest else f"{name[:head]}…{name[head + 1 - longest :]}"
    return short.replace("$", r"\$")
