"""Draws docs/chain.png: the chain from a scene to an answer, and what hybridonn does to it.

python benchmarks/draw_chain.py
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import FancyArrowPatch, Rectangle
from scipy.signal import convolve2d
from sklearn.datasets import load_digits

INK, TEACHER, FAB = "#333333", "#832db6", "#e76300"
CENTRES = {"scene": 0.8, "metasurface": 3.0, "camera": 5.2, "backend": 7.4, "answer": 9.4}
LABELS = {
    "scene": "scene",
    "metasurface": "metasurface\neach sub-optic is a kernel",
    "camera": "camera\none image a kernel",
    "backend": "digital backend\na few layers",
    "answer": "answer",
}
ROW, SIZE = 2.0, 1.3


def main() -> None:
    """Draw the figure and write it."""
    figure, axes = plt.subplots(figsize=(10, 4.1), dpi=150)
    axes.set(xlim=(0, 10.1), ylim=(-0.1, 4.05), aspect="equal")
    axes.axis("off")
    scene = load_digits().images[3] / 16
    show(axes, scene, "scene", 0)
    draw_pillars(axes)
    draw_maps(axes, scene)
    draw_network(axes)
    axes.text(CENTRES["answer"], ROW, "3", fontsize=34, ha="center", va="center", color=INK)
    for name, label in LABELS.items():
        axes.text(CENTRES[name], ROW - 0.78, label, ha="center", va="top", fontsize=9, color=INK)
    names = list(CENTRES)
    for one, other in pairwise(names):
        reach = 0.35 if other == "answer" else 0.75
        begin = 1.0 if one == "camera" else 0.72
        point(axes, (CENTRES[one] + begin, ROW), (CENTRES[other] - reach, ROW), INK)
    draw_teacher(axes)
    draw_fab(axes)
    figure.savefig(Path(__file__).parents[1] / "docs" / "chain.png", bbox_inches="tight")


def show(axes: Any, image: np.ndarray, name: str, number: int) -> None:
    """Draw an image at its place in the chain; further ones lie behind it."""
    x, y = CENTRES[name] + 0.09 * number, ROW + 0.09 * number
    half = SIZE / 2
    extent = (x - half, x + half, y - half, y + half)
    axes.imshow(image, cmap="gray", extent=extent, zorder=10 - number)
    axes.add_patch(Rectangle((x - half, y - half), SIZE, SIZE, fill=False, zorder=10 - number))


def draw_pillars(axes: Any) -> None:
    """Pillars of random widths, seen from above."""
    generator, cells = np.random.default_rng(1), 13
    corner, step = (CENTRES["metasurface"] - SIZE / 2, ROW - SIZE / 2), SIZE / cells
    axes.add_patch(Rectangle(corner, SIZE, SIZE, facecolor="#e8eef4", edgecolor=INK))
    for row, column in np.ndindex(cells, cells):
        width = step * generator.uniform(0.25, 0.85)
        x, y = (corner[0] + (column + 0.5) * step, corner[1] + (row + 0.5) * step)
        axes.add_patch(Rectangle((x - width / 2, y - width / 2), width, width, color="#3f90da"))


def draw_maps(axes: Any, scene: np.ndarray) -> None:
    """The scene convolved with four kernels."""
    slope = np.array([[1.0, 0, -1]] * 3)
    kernels = (slope, slope.T, slope + slope.T, np.ones((3, 3)) - 9 * np.eye(3)[[0, 1, 2]] / 3)
    for number, kernel in enumerate(kernels):
        show(axes, np.maximum(convolve2d(scene, kernel, "same"), 0), "camera", number)


def draw_network(axes: Any) -> None:
    """Two dense layers."""
    left, right = CENTRES["backend"] - 0.45, CENTRES["backend"] + 0.45
    first, second = np.linspace(-0.6, 0.6, 6), np.linspace(-0.42, 0.42, 4)
    for one in first:
        for other in second:
            axes.plot([left, right], [ROW + one, ROW + other], color="#aaaaaa", linewidth=0.5)
    axes.scatter([left] * 6, ROW + first, s=34, color="#3f90da", zorder=3)
    axes.scatter([right] * 4, ROW + second, s=34, color="#3f90da", zorder=3)


def draw_teacher(axes: Any) -> None:
    """The teacher above, and what it passes on."""
    axes.text(
        5.2,
        3.72,
        "digital teacher: matches logits and tangent kernels (NTKD)",
        ha="center",
        va="center",
        fontsize=9.5,
        color=TEACHER,
    )
    for name in ("metasurface", "backend"):
        point(axes, (5.2, 3.55), (CENTRES[name], ROW + 0.72), TEACHER)


def draw_fab(axes: Any) -> None:
    """The way to the fab and back, below."""
    axes.text(
        5.2,
        0.18,
        "layout file, fab, captures of the real chip: compensation",
        ha="center",
        va="center",
        fontsize=9.5,
        color=FAB,
    )
    point(axes, (CENTRES["metasurface"], ROW - 1.25), (3.3, 0.38), FAB)
    point(axes, (7.1, 0.38), (CENTRES["backend"], ROW - 1.25), FAB)


def point(axes: Any, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    """Draw an arrow."""
    style = {"arrowstyle": "-|>", "mutation_scale": 14, "linewidth": 1.4, "color": colour}
    axes.add_patch(FancyArrowPatch(start, end, shrinkA=2, shrinkB=2, zorder=20, **style))


if __name__ == "__main__":
    main()
