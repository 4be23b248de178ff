"""Boxes over images: the contact sheet of a set, and truth beside what networks say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hybridonn.reports.artefacts.mask_overlays import Overlays
from hybridonn.reports.artefacts.predictions import Predictions, as_tensor
from hybridonn.reports.figures.confusion import shorten
from hybridonn.reports.figures.contact_sheet import lay_grid, name_plainly, spread_evenly
from hybridonn.reports.figures.style import WIDTH_IN, colour_of, framed, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROWS, COLUMNS = 4, 5
MOST_NAMES = 12  # classes in the legend


@styled
def draw_sheet(
    name: str, images: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]
) -> Figure:
    """Draw some images of a set with their boxes, from few boxes to many.

    Args:
        name: Name of the set, for the title.
        images: (N, C, H, W), uint8.
        labels: Boxes of the images, (N, M, 6).
        classes: Names of the classes.
    """
    counts = (labels[..., 0] >= 0).sum(1)
    order = np.argsort(counts, kind="stable")
    chosen = order[spread_evenly(len(order), ROWS * COLUMNS)]
    rows = -(-len(chosen) // COLUMNS)
    figure, grid = lay_grid(rows, COLUMNS, WIDTH_IN / COLUMNS, images.shape, title_in=0.22)
    for axes, index in zip(grid.flat, chosen, strict=False):
        _show(axes, images[index] / 255, labels[index])
        axes.set_title(f"{counts[index]}", loc="center", weight="normal", fontsize=9)
    _add_legend(figure, classes)
    figure.suptitle(
        f"{name_plainly(name)}: {len(images):,} training images, number of boxes", weight="bold"
    )
    return figure


@styled
def draw_box_overlays(
    overlays: Overlays, predictions: Mapping[str, Predictions], classes: Sequence[str]
) -> Figure:
    """Draw a row for each image: the image, the true boxes, and each network's.

    Args:
        overlays: The images.
        predictions: By network, on the same test set.
        classes: Names of the classes.
    """
    from matplotlib.figure import Figure

    names = [name for name in ("teacher", "student") if name in predictions]
    truth = predictions[names[-1]].labels
    height, width = overlays.scenes.shape[-2:]
    columns = 2 + len(names)
    side = (WIDTH_IN - 1.1) / columns
    rows = len(overlays.scenes)
    size = (columns * side + 1.1, rows * (side * height / width + 0.26) + 0.7)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    for row, (scene, position) in enumerate(zip(overlays.scenes, overlays.positions, strict=True)):
        said = [_list_shown(predictions[name], position) for name in names]
        titles = ["", "", *(_score(predictions[name], position) for name in names)]
        for axes, boxes, title in zip(
            panels[row], [None, truth[position], *said], titles, strict=True
        ):
            _show(framed(axes), scene, boxes)
            axes.set_title(title, fontsize=9, fontweight="normal", loc="center", pad=3)
        label = f"{overlays.reasons[row]}\nimage {overlays.numbers[row]}"
        panels[row, 0].set_ylabel(label, rotation=0, ha="right", va="center", labelpad=8)
    for axes, name in zip(panels[0], ("image", "truth", *names), strict=True):
        look: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
        look |= {"ha": "center", "va": "bottom", "fontsize": 11, "fontweight": "bold"}
        axes.annotate(name, (0.5, 1), (0, 16), **look)
    _add_legend(figure, classes)
    return figure


def _list_shown(predictions: Predictions, position: int) -> np.ndarray:
    boxes = predictions.task.list_boxes(as_tensor(predictions.predicted[position]))
    assert boxes is not None  # the section is of a task whose predictions are boxes
    return boxes.numpy()


def _score(predictions: Predictions, position: int) -> str:
    return f"AP50 {100 * predictions.scores[position]:.1f} %"


def _show(axes: Axes, scene: np.ndarray, boxes: np.ndarray | None) -> None:
    """An image (C, H, W) in [0, 1] with boxes (M, 6)."""
    from matplotlib.patches import Rectangle

    shown = scene if len(scene) == 3 else scene.mean(0, keepdims=True).repeat(3, 0)
    height, width = scene.shape[1:]
    axes.imshow(np.clip(shown.transpose(1, 2, 0), 0, 1), extent=(0, width, height, 0))
    for kind, left, top, right, bottom, _ in () if boxes is None else boxes[boxes[:, 0] >= 0]:
        place: Any = (left, top), right - left, bottom - top
        axes.add_patch(Rectangle(*place, fill=False, edgecolor="black", linewidth=2.0))
        colour = colour_of(int(kind))
        axes.add_patch(Rectangle(*place, fill=False, edgecolor=colour, linewidth=1.2))


def _add_legend(figure: Figure, classes: Sequence[str]) -> None:
    from matplotlib.patches import Patch

    named = list(enumerate(map(str, classes)))
    handles: list[Any] = [
        Patch(facecolor="none", edgecolor=colour_of(index), linewidth=1.6, label=shorten(name))
        for index, name in named[:MOST_NAMES]
    ]
    if len(named) > MOST_NAMES:
        handles.append(Patch(alpha=0, label=f"and {len(named) - MOST_NAMES} more"))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(6, len(handles)))
