"""How the classes lie in a network's features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hybridonn.reports.artefacts.embedding import Embedding
from hybridonn.reports.figures.confusion import shorten
from hybridonn.reports.figures.style import WIDTH_IN, colour_of, marker_of, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_NAMES = 30  # classes up to which names on the clusters do not hide them
LONGEST_NAME = 10  # letters, for the same reason


@styled
def draw_embedding(
    embeddings: Mapping[str, Embedding], classes: Sequence[str], *, together: bool = False
) -> Figure:
    """Draw the t-SNE maps of the networks side by side, one colour and marker a class.

    Args:
        embeddings: By network.
        classes: Names of the classes.
        together: The maps were laid out as one, so that they are drawn to one scale.
    """
    from matplotlib.figure import Figure

    columns = min(10, len(classes))
    legend_rows = -(-len(classes) // columns)
    width = WIDTH_IN if len(embeddings) > 1 else 6.5
    figure = Figure(figsize=(width, 5.0 + 0.22 * legend_rows), layout="constrained")
    panels = figure.subplots(
        1, len(embeddings), squeeze=False, sharex=together, sharey=together
    ).ravel()
    for axes, (name, embedding) in zip(panels, embeddings.items(), strict=True):
        _draw_map(axes, embedding, classes)
        axes.set_title(f"{name.capitalize()}: {len(embedding.labels):,} test images")
    if max(len(str(name)) for name in classes) > 8:
        columns = min(columns, 6 if len(embeddings) > 1 else 4)
    figure.legend(
        handles=_legend(classes),
        loc="outside lower center",
        ncols=columns,
        columnspacing=1.2,
        handletextpad=0.3,
        title="class",
    )
    return figure


def _draw_map(axes: Axes, embedding: Embedding, classes: Sequence[str]) -> None:
    from matplotlib.patheffects import withStroke

    size = float(np.clip(9000 / len(embedding.labels), 5, 22))
    raster = len(embedding.labels) > 3000  # an SVG of more points is slow to show
    for index in range(len(classes)):
        points = embedding.positions[embedding.labels == index]
        look = {"color": colour_of(index), "marker": marker_of(index), "linewidths": 0}
        axes.scatter(*points.T, s=size, alpha=0.75, rasterized=raster, **look)
    named = len(classes) <= MOST_NAMES and max(map(len, map(str, classes))) <= LONGEST_NAME
    for index in range(len(classes) if named else 0):
        points = embedding.positions[embedding.labels == index]
        if len(points):
            x, y = np.median(points, axis=0)
            axes.text(
                x,
                y,
                shorten(str(classes[index])),
                ha="center",
                va="center",
                fontweight="bold",
                path_effects=[withStroke(linewidth=3, foreground="white")],
            )
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color("#c9cdd1")


def _legend(classes: Sequence[str]) -> list:
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], color=colour_of(index), marker=marker_of(index), ls="", label=shorten(name))
        for index, name in enumerate(map(str, classes))
    ]
