"""Training, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from hybridonn.distillation.best_epoch import find_best
from hybridonn.distillation.methods import TERMS as LOSS_TERMS
from hybridonn.distillation.methods import Term
from hybridonn.reports.artefacts.reading import Table
from hybridonn.reports.figures.style import INK, MODELS, PALETTE, WIDTH_IN, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hybridonn.tasks.task import Task

LEGEND_COLUMNS = 5
NARROW = 8  # the factor between two losses below which 1, 2 and 5 make too few ticks
# Column of the history: its name in the legend, colour and dashes.
TERMS = {
    "loss": ("total", INK, "-"),
    **{name: (term.label, term.colour, term.dashes) for name, term in LOSS_TERMS.items()},
    "validation_loss": ("task, validation", PALETTE[5], ":"),
}


@styled
def draw_curves(histories: Mapping[str, Table], task: Task) -> Figure:
    """Draw loss terms of each network, validation metric, NTK alignment and weights that change.

    A dot marks the epoch whose weights were kept, on the alignment as well.

    Args:
        histories: Columns of history.csv by network (``teacher``, ``student``);
            columns that are missing or empty are not drawn.
        task: What the networks are for; its metric was validated.
    """
    from matplotlib.figure import Figure

    balanced = [term for term in LOSS_TERMS.values() if _is_balanced(histories, term.weight)]
    aligned = {name: table for name, table in histories.items() if _holds(table, "alignment")}
    column = f"validation_{task.metric}"
    rated = {name: table for name, table in histories.items() if _holds(table, column)}
    trained = [name for name in sorted(histories) if _holds(histories[name], "loss")]
    panels = len(trained) + bool(rated) + bool(aligned) + len(balanced)
    columns = min(panels, 2)
    rows = -(-panels // columns)
    figure = Figure(figsize=(WIDTH_IN, 3.3 * rows), layout="constrained")
    axes = iter(figure.subplots(rows, columns, squeeze=False).ravel())
    if rated:
        title, label = f"Validation {task.label}", f"{task.label} (%)"
        _draw_rates(next(axes), rated, column, title, label, task.metric)
    if aligned:
        label = "centred kernel alignment"
        title = "NTK alignment with the teacher"
        _draw_rates(next(axes), aligned, "alignment", title, label, task.metric)
    for name in trained:  # the student first; of loaded weights there is no loss
        _draw_losses(next(axes), histories[name], name)
    for term in balanced:
        _draw_weight(next(axes), histories["student"], term)
    for empty in axes:
        empty.set_axis_off()
    return figure


def _draw_losses(axes: Axes, table: Table, name: str) -> None:
    drawn = {column: look for column, look in TERMS.items() if _holds(table, column)}
    if drawn.keys() >= {"loss", "task"} and np.allclose(table["loss"], table["task"]):
        del drawn["task"]  # the task is all of the loss: one curve says it
    for column, (label, colour, dashes) in drawn.items():
        axes.plot(table["epoch"], table[column], color=colour, linestyle=dashes, label=label)
    if drawn and all(np.nanmin(table[column]) > 0 for column in drawn):
        _scale_logarithmically(axes)
    _finish(axes, table["epoch"], f"Loss of the {name}", "loss")
    if drawn:
        _name_curves(axes, len(drawn))


def _name_curves(axes: Axes, count: int) -> None:
    """A legend below the axes: curves of several terms or networks leave no corner free."""
    columns = min(count, LEGEND_COLUMNS)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=columns)


def _scale_logarithmically(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    few = high < NARROW * low
    axes.yaxis.set_major_locator(MaxNLocator(5) if few else LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _is_balanced(histories: Mapping[str, Table], column: str) -> bool:
    """Whether a weight was found during the student's training."""
    return "student" in histories and _holds(histories["student"], column)


def _draw_weight(axes: Axes, table: Table, term: Term) -> None:
    """The weight of a term by epoch, mean over the steps."""
    axes.plot(table["epoch"], table[term.weight], color=term.colour, linestyle=term.dashes)
    if np.nanmin(table[term.weight]) > 0:
        _scale_logarithmically(axes)
    _finish(axes, table["epoch"], f"Weight of the {term.label} term", "weight")


def _draw_rates(
    axes: Axes, histories: Mapping[str, Table], column: str, title: str, label: str, metric: str
) -> None:
    scale = 100 if label.endswith("(%)") else 1
    for name, table in histories.items():
        colour = MODELS.get(name, INK)
        values = scale * table[column]
        dashes = "--" if name == "teacher" else "-"
        if len(values) == 1:  # of loaded weights, which no epoch changes
            axes.axhline(values[0], color=colour, linestyle=dashes, label=f"{name}, as loaded")
            continue
        axes.plot(table["epoch"], values, color=colour, linestyle=dashes, label=name)
        kept = _find_kept(table, metric)
        if kept is not None:
            axes.plot(table["epoch"][kept], values[kept], "o", color=colour, markersize=6)
    if scale == 100:
        _zoom(axes, [scale * table[column] for table in histories.values()])
    epochs = np.concatenate([table["epoch"] for table in histories.values()])
    _finish(axes, epochs, title, label)
    if len(histories) > 1:
        _name_curves(axes, len(histories))


def _zoom(axes: Axes, curves: list[np.ndarray]) -> None:
    """Leave out the first steep epochs: what matters happens in the upper part."""
    values = np.concatenate(curves)
    values = values[np.isfinite(values)]
    epochs = [len(curve) for curve in curves if len(curve) > 1]
    steep = 20 if min(epochs, default=1) >= 10 else 0  # % of the epochs, where there are many
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


def _find_kept(table: Table, metric: str) -> int | None:
    """Position of the epoch whose weights were kept; None: nothing was validated."""
    if not _holds(table, f"validation_{metric}"):
        return None
    score = np.nan_to_num(table[f"validation_{metric}"], nan=-np.inf)
    loss = table.get("validation_loss", np.zeros(len(score)))
    rows = [
        {f"validation_{metric}": one, "validation_loss": other}
        for one, other in zip(score, np.nan_to_num(loss, nan=np.inf), strict=True)
    ]
    return find_best(rows, metric)


def _holds(table: Table, column: str) -> bool:
    return column in table and bool(np.isfinite(table[column]).any())
