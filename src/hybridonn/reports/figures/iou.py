"""Intersection over union: class by class, and image by image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hybridonn.reports.figures.confusion import shorten
from hybridonn.reports.figures.style import INK, MODELS, WIDTH_IN, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hybridonn.tasks.iou import Overlap

MOST_CLASSES = 20  # bars that can be read; of more classes those with the least student IoU


@styled
def draw_iou(overlaps: Mapping[str, Overlap], classes: Sequence[str]) -> Figure:
    """Draw the IoU of each class, and how the images' mIoU is spread.

    Args:
        overlaps: How predicted and true masks of the test set cover each other, by network.
        classes: Names of the classes.
    """
    from matplotlib.figure import Figure

    shown = min(len(classes), MOST_CLASSES)
    figure = Figure(figsize=(WIDTH_IN, max(3.6, 1.2 + 0.34 * shown)), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_classes(left, overlaps, classes)
    _draw_images(right, {name: one.scores.numpy() for name, one in overlaps.items()})
    handles, labels = right.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _draw_classes(axes: Axes, overlaps: Mapping[str, Overlap], classes: Sequence[str]) -> None:
    shares = {name: one.by_class.numpy() for name, one in overlaps.items()}
    worst = np.argsort(list(shares.values())[-1], kind="stable")
    shown = np.sort(worst[:MOST_CLASSES])
    thickness = 0.8 / len(shares)
    for number, (name, some) in enumerate(shares.items()):
        places = np.arange(len(shown)) + (number - (len(shares) - 1) / 2) * thickness
        values = 100 * np.nan_to_num(some[shown])
        axes.barh(places, values, 0.92 * thickness, color=MODELS.get(name, INK))
        for place, value in zip(places, values, strict=True):
            axes.text(value + 1, place, f"{value:.1f}", va="center", fontsize=9)
    axes.set_yticks(range(len(shown)), [shorten(str(classes[index])) for index in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim(0, 112)
    axes.set_xticks(range(0, 101, 20))
    axes.set_xlabel("IoU, mean over images (%)")
    few = len(shown) < len(classes)
    axes.set_title(f"The {len(shown)} worst classes" if few else "Class by class")


def _draw_images(axes: Axes, scores: Mapping[str, np.ndarray]) -> None:
    lowest = min(float(some.min()) for some in scores.values())
    count = max(map(len, scores.values()))
    edges = np.linspace(np.floor(10 * lowest) * 10, 100, int(np.clip(count / 5, 8, 30)) + 1)
    for name, some in scores.items():
        colour, values = MODELS.get(name, INK), 100 * some
        label = f"{name}, mean {values.mean():.1f} %"
        axes.hist(values, edges, histtype="stepfilled", color=colour, alpha=0.25)
        axes.hist(values, edges, histtype="step", color=colour, linewidth=1.6, label=label)
        axes.axvline(values.mean(), color=colour, linestyle="--", linewidth=1.4)
    axes.set_xlabel("mIoU of an image (%)")
    axes.set_ylabel("test images")
    axes.set_title("Image by image")
