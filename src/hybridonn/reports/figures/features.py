"""What the camera sees: the difference signals of one scene."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hybridonn.reports.figures.style import WIDTH_IN, diverging, framed, styled, zero_white

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def draw_features(scene: np.ndarray, features: np.ndarray, title: str = "scene") -> Figure:
    """Draw a scene and, kernel by kernel, positive less negative frame of the sensor.

    Args:
        scene: The image, (C, H, W), in [0, 1].
        features: Difference signals, (K, H', W').
        title: What stands over the scene, for example its class.
    """
    from matplotlib.figure import Figure

    count = len(features)
    rows = 1 if count <= 4 else max(2, -(-count // 8))
    columns = -(-count // rows)
    span = min(rows, 2)
    cell = (WIDTH_IN - 1.0) / (columns + span)
    cell = min(cell, 1.75)
    ratio = features.shape[1] / features.shape[2]
    size = ((columns + span) * cell + 1.0, rows * (cell * min(ratio, 2) + 0.28) + 0.1)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.add_gridspec(rows, columns + span)
    _draw_scene(framed(figure.add_subplot(grid[:span, :span])), scene, title)
    norm = zero_white(features)
    panels = []
    for index, signal in enumerate(features):
        row, column = divmod(index, columns)
        axes = framed(figure.add_subplot(grid[row, span + column]))
        image = axes.imshow(signal, cmap=diverging(), norm=norm, interpolation="none")
        axes.set_title(f"kernel {index}", fontsize=9, fontweight="normal", pad=3, loc="center")
        panels.append(axes)
    bar = figure.colorbar(image, ax=panels, shrink=min(1.0, 3.2 / size[1]), aspect=18)
    bar.set_label("difference signal")
    return figure


def _draw_scene(axes: Axes, scene: np.ndarray, title: str) -> None:
    bands = len(scene)
    if bands == 3:
        axes.imshow(np.clip(scene.transpose(1, 2, 0), 0, 1), interpolation="none")
    else:
        # No eye sees other numbers of bands: their mean stands for them, and the title says so.
        axes.imshow(scene.mean(axis=0), cmap="gray", vmin=0, vmax=1, interpolation="none")
    if bands not in (1, 3):
        title = f"{title} (mean of {bands} bands)"
    axes.set_title(title, fontsize=9, fontweight="normal", loc="center", pad=3)
