"""Test images with the true mask and those of networks or treatments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from hybridonn.reports.artefacts.mask_overlays import Overlays
from hybridonn.reports.artefacts.predictions import Predictions
from hybridonn.reports.figures.confusion import shorten
from hybridonn.reports.figures.style import WIDTH_IN, colour_of, framed, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAINTED = 0.5  # share of the class's colour where it lies over the image
MOST_NAMES = 12  # classes in the legend
LONGEST = 14  # characters of a line above a column


@styled
def draw_overlays(
    overlays: Overlays, predictions: Mapping[str, Predictions], classes: Sequence[str]
) -> Figure:
    """Draw a row for each image: the image, the truth, and each mask that is compared.

    Args:
        overlays: The images.
        predictions: By the name of the network or treatment, on the same test images, in the
            order of the columns.
        classes: Names of the classes; the first is background and not painted.
    """
    from matplotlib.figure import Figure

    names = list(predictions)
    truth = predictions[names[-1]].labels
    height, width = truth.shape[1:]
    columns = 2 + len(names)
    side = min(2.15, (WIDTH_IN - 1.1) / columns)
    rows = len(overlays.scenes)
    size = (columns * side + 1.1, rows * (side * height / width + 0.24) + 0.7)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    for row, (scene, position) in enumerate(zip(overlays.scenes, overlays.positions, strict=True)):
        masks = [None, truth[position], *(predictions[name].predicted[position] for name in names)]
        scores = ["", "", *(_score(predictions[name], position) for name in names)]
        for axes, mask, score in zip(panels[row], masks, scores, strict=True):
            framed(axes).imshow(paint(scene, mask), interpolation="none")
            axes.set_title(score, fontsize=9, fontweight="normal", loc="center", pad=3)
        label = f"{overlays.reasons[row]}\nimage {overlays.numbers[row]}"
        panels[row, 0].set_ylabel(label, rotation=0, ha="right", va="center", labelpad=8)
    for axes, name in zip(panels[0], ("image", "truth", *names), strict=True):
        look: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
        look |= {"ha": "center", "va": "bottom", "fontsize": 11, "fontweight": "bold"}
        axes.annotate(fill(name, LONGEST), (0.5, 1), (0, 16), **look)
    _add_legend(figure, classes)
    return figure


def paint(scene: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """An image with its classes painted over it, (H, W, 3), in [0, 1].

    Args:
        scene: (C, H, W), in [0, 1]; where it has not 3 bands, their mean is shown.
        mask: Classes, (H, W); 0 is not painted. None: the image alone.
    """
    from matplotlib.colors import to_rgb

    shown = scene if len(scene) == 3 else scene.mean(0, keepdims=True).repeat(3, 0)
    image = np.clip(shown.transpose(1, 2, 0), 0, 1)
    if mask is None:
        return image
    painted = image.copy()
    for index in np.unique(mask[mask > 0]):
        where = mask == index
        colour = np.array(to_rgb(colour_of(int(index))))
        painted[where] = (1 - PAINTED) * image[where] + PAINTED * colour
    return painted


def _score(predictions: Predictions, position: int) -> str:
    return f"{predictions.task.label} {100 * predictions.scores[position]:.1f} %"


def _add_legend(figure: Figure, classes: Sequence[str]) -> None:
    from matplotlib.patches import Patch

    painted = list(enumerate(map(str, classes)))[1:]
    handles: list[Any] = [
        Patch(color=colour_of(index), alpha=PAINTED, label=shorten(name))
        for index, name in painted[:MOST_NAMES]
    ]
    if len(painted) > MOST_NAMES:
        handles.append(Patch(alpha=0, label=f"and {len(painted) - MOST_NAMES} more"))
    look = {"ncols": min(6, len(handles)), "title": "painted class"}
    figure.legend(handles=handles, loc="outside lower center", **look)
