"""Contact sheets: what the images of a data set look like, with their labels.

A task names the function that draws its own; all have the same arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hybridonn.reports.figures.confusion import shorten
from hybridonn.reports.figures.style import bare, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROWS, COLUMNS = 10, 10  # of images by class, or of images alone
MASK_ROWS, MASK_COLUMNS = 4, 6
OUTLINE = "#ffd400"  # seen on dark and on bright images alike, with its dark edge
WIDTH_IN = 10.0


@styled
def draw_images(
    name: str, images: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]
) -> Figure:
    """Draw some images of a set, spread evenly, without their labels.

    Args:
        name: Name of the set, for the title.
        images: (N, C, H, W), uint8.
        labels: Labels of any form, (N, ...), which are not shown.
        classes: Names of the classes, which are not shown.
    """
    chosen = spread_evenly(len(images), ROWS * COLUMNS)
    columns = min(COLUMNS, len(chosen))
    rows = -(-len(chosen) // columns)
    figure, grid = lay_grid(rows, columns, WIDTH_IN / COLUMNS, images.shape)
    for axes, index in zip(grid.flat, chosen, strict=False):
        _show(axes, images[index])
    figure.suptitle(f"{name_plainly(name)}: {len(images):,} training images", weight="bold")
    return figure


@styled
def draw_classes(
    name: str, images: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]
) -> Figure:
    """Draw some images of a set, a row a class; classes and images are spread evenly.

    Args:
        name: Name of the set, for the title.
        images: (N, C, H, W), uint8.
        labels: Classes of the images, (N,).
        classes: Names of the classes.
    """
    shown = spread_evenly(len(classes), ROWS)
    cell = WIDTH_IN / (COLUMNS + 1.6)
    figure, grid = lay_grid(len(shown), COLUMNS, cell, images.shape)
    for row, number in zip(grid, shown, strict=True):
        of_class = np.flatnonzero(labels == number)
        chosen = of_class[spread_evenly(len(of_class), COLUMNS)]
        for axes, index in zip(row, chosen, strict=False):
            _show(axes, images[index])
        row[0].annotate(
            shorten(classes[number]),
            (0, 0.5),
            (-6, 0),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="right",
            va="center",
        )
    some = "" if len(shown) == len(classes) else f", {len(shown)} of {len(classes)} classes"
    figure.suptitle(f"{name_plainly(name)}: {len(images):,} training images{some}", weight="bold")
    return figure


@styled
def draw_masks(
    name: str, images: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]
) -> Figure:
    """Draw some images of a set with their masks outlined.

    They are in the order of their foreground's share of the pixels, which stands above each.

    Args:
        name: Name of the set, for the title.
        images: (N, C, H, W), uint8.
        labels: Masks of the images, (N, H, W); class 0 is the ground.
        classes: Names of the classes.
    """
    shares = np.array([np.count_nonzero(mask) / mask.size for mask in labels])
    order = np.argsort(shares, kind="stable")
    chosen = order[spread_evenly(len(order), MASK_ROWS * MASK_COLUMNS)]
    rows = -(-len(chosen) // MASK_COLUMNS)
    figure, grid = lay_grid(
        rows, MASK_COLUMNS, WIDTH_IN / MASK_COLUMNS, images.shape, title_in=0.22
    )
    for axes, index in zip(grid.flat, chosen, strict=False):
        _show(axes, images[index])
        _outline(axes, labels[index])
        axes.set_title(f"{100 * shares[index]:.1f} %", loc="center", weight="normal", fontsize=9)
    what = shorten(classes[1]) if len(classes) == 2 else "any class but the first"
    some = f"{len(images):,} training images, {what} outlined, its share of the pixels"
    figure.suptitle(f"{name_plainly(name)}: {some}", weight="bold")
    return figure


def lay_grid(
    rows: int, columns: int, cell: float, shape: tuple[int, ...], title_in: float = 0.0
) -> tuple[Figure, np.ndarray]:
    """A figure of images in rows and columns, and its axes, (rows, columns).

    Args:
        rows: Number of rows.
        columns: Number of columns.
        cell: Width of an image in inches.
        shape: (N, C, H, W) of the images.
        title_in: Height of the text above each image in inches.
    """
    from matplotlib.figure import Figure

    height = cell * shape[2] / shape[3] + title_in
    figure = Figure(figsize=(WIDTH_IN, rows * height + 0.45), layout="constrained")
    gap_in = 0.04
    figure.get_layout_engine().set(h_pad=gap_in, w_pad=gap_in, hspace=0, wspace=0)  # pyright: ignore
    grid: Any = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        bare(axes)
    return figure, grid


def name_plainly(name: str) -> str:
    """A name in which a dollar sign opens no formula."""
    return name.replace("$", r"\$")


def spread_evenly(count: int, most: int) -> np.ndarray:
    """At most so many positions, spread evenly over ``count``."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def _show(axes: Axes, image: np.ndarray) -> None:
    if len(image) == 3:
        axes.imshow(image.transpose(1, 2, 0), interpolation="nearest")
    else:
        axes.imshow(image[0], cmap="gray", vmin=0, vmax=255, interpolation="nearest")


def _outline(axes: Axes, mask: np.ndarray) -> None:
    foreground = (mask > 0).astype(float)
    if foreground.min() < foreground.max():  # one value everywhere has no outline
        axes.contour(foreground, [0.5], colors="black", linewidths=1.6)
        axes.contour(foreground, [0.5], colors=OUTLINE, linewidths=0.9)
