"""What was promised before any training: the estimate beside what training reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hybridonn.reports.artefacts.estimate import Estimated
from hybridonn.reports.figures.style import INK, MODELS, PALETTE, WIDTH_IN, styled
from hybridonn.reports.formats import percent, span

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOUR = PALETTE[6]


@styled
def draw_learning_curve(
    estimate: Estimated,
    *,
    student: float | None = None,
    student_images: int | None = None,
    teacher: float | None = None,
) -> Figure:
    """Draw the estimated metric against the number of training images.

    Args:
        estimate: The curve and its 95 % interval, which stands at the last point.
        student: What the trained student reaches, in [0, 1].
        student_images: What it was trained on; None: its level is a line only.
        teacher: What the teacher reaches.
    """
    from matplotlib.figure import Figure
    from matplotlib.patheffects import withStroke

    figure = Figure(figsize=(WIDTH_IN, 4.5), layout="constrained")
    axes = figure.subplots()
    order = estimate.curve["images"].argsort()
    images, values = (estimate.curve[name][order] for name in ("images", estimate.task.metric))
    axes.plot(images, 100 * values, "o-", color=COLOUR, markersize=5, label="estimate")
    low, high = (100 * end for end in estimate.interval)
    sides = [[max(0.0, 100 * values[-1] - low)], [max(0.0, high - 100 * values[-1])]]
    look = {"fmt": "none", "capsize": 5, "elinewidth": 1.8, "color": COLOUR}
    axes.errorbar(images[-1], 100 * values[-1], sides, label="95 % interval", **look)
    _draw_level(axes, "teacher", teacher, "--", estimate.test_images)
    _draw_level(axes, "student", student, ":", estimate.test_images)
    if student is not None and student_images is not None:
        look = {"color": MODELS["student"], "markersize": 9, "markeredgecolor": "white"}
        axes.plot(student_images, 100 * student, "D", **look)
    axes.set_ylabel(f"test {estimate.task.label} (%)")
    axes.margins(y=0.12)
    _finish(axes, [*images, *([student_images] if student_images else [])])
    axes.annotate(  # above its bar: the curve itself may lie anywhere beside it
        f"{percent(estimate.value, estimate.test_images)} "
        f"({span(estimate.interval, estimate.test_images)})",
        (images[-1], high),
        (14, 5),
        fontweight="bold",
        color=COLOUR,
        path_effects=[withStroke(linewidth=3, foreground="white")],
        textcoords="offset points",
        ha="right",
        va="bottom",
    )
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _draw_level(axes: Axes, name: str, level: float | None, dashes: str, total: int) -> None:
    if level is not None:
        label = f"{name}{' as trained' if name == 'student' else ''}, {percent(level, total)}"
        axes.axhline(100 * level, color=MODELS[name], ls=dashes, lw=1.6, label=label)


def _finish(axes: Axes, images: list[float]) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

    axes.set_xscale("log")
    axes.set_xlim(min(images) / 1.2, max(images) * 1.25)
    ticks = np.unique(images)
    # Numbers closer than a factor 1.3 would run into each other.
    kept = [
        tick for i, tick in enumerate(ticks) if i == len(ticks) - 1 or ticks[i + 1] > 1.3 * tick
    ]
    axes.set_xticks(kept)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("training images")
    axes.set_title("Promised before training, and reached by it")
    axes.grid(True)
    axes.set_axisbelow(True)
    axes.spines["bottom"].set_color(INK)
