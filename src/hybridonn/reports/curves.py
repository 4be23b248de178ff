"""Training, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from hybridonn.reports.reading import Table
from hybridonn.reports.style import INK, MODELS, PALETTE, WIDTH_IN, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Column of the history: its name in the legend, colour and dashes.
TERMS = {
    "loss": ("total", INK, "-"),
    "task": ("task", PALETTE[0], "-"),
    "kd": ("KD", PALETTE[6], "--"),
    "ntk": ("NTK", PALETTE[4], "-."),
    "validation_loss": ("validation", PALETTE[5], ":"),
}


@styled
def draw_curves(histories: Mapping[str, Table]) -> Figure:
    """Draw loss terms of each network, validation accuracy and NTK alignment.

    Args:
        histories: Columns of history.csv by network (``teacher``, ``student``);
            columns that are missing or empty are not drawn.
    """
    from matplotlib.figure import Figure

    aligned = {name: table for name, table in histories.items() if _holds(table, "alignment")}
    rated = {
        name: table for name, table in histories.items() if _holds(table, "validation_accuracy")
    }
    panels = len(histories) + bool(rated) + bool(aligned)
    columns = min(panels, 2)
    rows = -(-panels // columns)
    figure = Figure(figsize=(WIDTH_IN, 3.3 * rows), layout="constrained")
    axes = iter(figure.subplots(rows, columns, squeeze=False).ravel())
    if rated:
        _draw_rates(next(axes), rated, "validation_accuracy", "Validation accuracy", "%")
    if aligned:
        _draw_rates(next(axes), aligned, "alignment", "NTK alignment with the teacher", "")
    for name in sorted(histories):  # the student first
        _draw_losses(next(axes), histories[name], name)
    for empty in axes:
        empty.set_axis_off()
    return figure


def _draw_losses(axes: Axes, table: Table, name: str) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    drawn = {column: look for column, look in TERMS.items() if _holds(table, column)}
    if drawn.keys() >= {"loss", "task"} and np.allclose(table["loss"], table["task"]):
        del drawn["task"]  # the task is all of the loss: one curve says it
    for column, (label, colour, dashes) in drawn.items():
        axes.plot(table["epoch"], table[column], color=colour, linestyle=dashes, label=label)
    if drawn and all(np.nanmin(table[column]) > 0 for column in drawn):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    _finish(axes, table["epoch"], f"Loss of the {name}", "loss")
    if drawn:
        axes.legend(ncols=2)


def _draw_rates(
    axes: Axes, histories: Mapping[str, Table], column: str, title: str, unit: str
) -> None:
    scale = 100 if unit == "%" else 1
    for name, table in histories.items():
        colour = MODELS.get(name, INK)
        values = scale * table[column]
        dashes = "--" if name == "teacher" else "-"
        axes.plot(table["epoch"], values, color=colour, linestyle=dashes, label=name)
        best = int(np.nanargmax(values))
        axes.plot(table["epoch"][best], values[best], "o", color=colour, markersize=6)
    if unit == "%":
        _zoom(axes, [scale * table[column] for table in histories.values()])
    epochs = np.concatenate([table["epoch"] for table in histories.values()])
    _finish(axes, epochs, title, f"accuracy ({unit})" if unit else "centred kernel alignment")
    if len(histories) > 1:
        axes.legend(loc="lower right")


def _zoom(axes: Axes, curves: list[np.ndarray]) -> None:
    """Leave out the first steep epochs: what matters happens in the upper part."""
    values = np.concatenate(curves)
    values = values[np.isfinite(values)]
    steep = 20 if min(map(len, curves)) >= 10 else 0  # % of the epochs, where there are many
    low, high = np.percentile(values, steep), values.max()
    margin = max(0.08 * (high - low), 0.1)
    axes.set_ylim(low - margin, high + margin)


def _finish(axes: Axes, epochs: np.ndarray, title: str, label: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title(title)
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.set_xlim(epochs.min() - 0.5, epochs.max() + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(True)
    axes.set_axisbelow(True)


def _holds(table: Table, column: str) -> bool:
    return column in table and bool(np.isfinite(table[column]).any())
