"""Estimated against trained accuracy of many designs: ranking.json as a figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hybridonn.core.errors import ArtefactError
from hybridonn.reports.artefacts.reading import read_json, refusal
from hybridonn.reports.figures.save import save_figure
from hybridonn.reports.figures.style import FAINT, MARKERS, PALETTE, WIDTH_IN, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STAGE = "hybridonn study ranking"
TITLES = {
    "design": "The design's own number of kernels",
    "infinite": "Infinitely many kernels",
}
# Number of kernels: few in pale, many in strong colours.
COLOURS = (PALETTE[3], PALETTE[7], PALETTE[1], PALETTE[0], PALETTE[4], PALETTE[2])


def write_ranking(folder: Path) -> tuple[Path, Path]:
    """Draw folder/ranking.json to folder/ranking.png and .svg.

    Raises:
        ArtefactError: The file is missing or damaged.
    """
    path = folder / "ranking.json"
    ranking = read_json(path, STAGE)
    try:
        figure = draw_ranking(ranking)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        found = f"a key or a value is missing or of the wrong kind ({error})"
        raise ArtefactError(refusal(path, STAGE, found)) from None
    return save_figure(figure, folder / "ranking")


@styled
def draw_ranking(ranking: dict[str, Any]) -> Figure:
    """Draw every design's estimated against its trained accuracy, a panel a kind of estimate.

    Args:
        ranking: What :func:`hybridonn.studies.ranking.rank` returns.
    """
    from matplotlib.figure import Figure

    estimates, rows = ranking["estimates"], ranking["designs"]
    figure = Figure(figsize=(WIDTH_IN, 5.6), layout="constrained")
    panels = figure.subplots(1, len(estimates), squeeze=False, sharex=True, sharey=True).ravel()
    for axes, (kind, numbers) in zip(panels, estimates.items(), strict=True):
        _draw_panel(axes, rows, kind, numbers)
    _limit(panels[0], rows, list(estimates))
    panels[0].set_ylabel("trained test accuracy (%)")
    name = str(ranking["name"]).replace("$", r"\$")
    figure.suptitle(
        f"{name}: {len(rows)} designs, {ranking['train_images']:,} training images",
        fontweight="bold",
        fontsize=11,
    )
    _explain_bars(figure, ranking["seeds"])
    return figure


def _explain_bars(figure: Figure, seeds: int) -> None:
    """Say in the legend what bars and brackets are."""
    upright = f", upright range of {seeds} seeds" if seeds > 1 else ""
    text = f"bars: across 95 % interval of the estimate{upright}; in brackets 95 % interval of"
    handles, labels = figure.axes[0].get_legend_handles_labels()
    title = f"{text} Spearman's correlation over designs"
    look = {"loc": "outside lower center", "ncols": len(labels), "title": title}
    figure.legend(handles, labels, title_fontsize=8.5, **look)


def _draw_panel(axes: Axes, rows: list[dict[str, Any]], kind: str, numbers: dict[str, Any]) -> None:
    axes.axline((50, 50), slope=1, color=FAINT, linestyle="--", linewidth=1.2, zorder=0)
    counts = sorted({row["kernels"] for row in rows})
    for place, count in enumerate(counts):
        some = [row for row in rows if row["kernels"] == count]
        keys = (kind, f"{kind}_low", f"{kind}_high", "trained", "trained_low", "trained_high")
        x, left, right, y, low, high = (100 * np.array([row[key] for row in some]) for key in keys)
        look = {"ms": 6.5, "elinewidth": 1, "capsize": 2, "color": COLOURS[place % len(COLOURS)]}
        look |= {"markeredgecolor": "white", "markeredgewidth": 0.7, "ecolor": FAINT}
        label = f"{count} kernel{'s' * (count != 1)}"
        fmt = MARKERS[place % len(MARKERS)]
        bars = {"yerr": [y - low, high - y], "xerr": [x - left, right - x]}
        axes.errorbar(x, y, fmt=fmt, label=label, **bars, **look)
    axes.set_title(TITLES.get(kind, kind))
    axes.set_xlabel("estimated test accuracy (%)")
    axes.grid(True)
    axes.set_axisbelow(True)
    axes.set_aspect("equal")
    # Where designs train to more than is estimated, points are above the line.
    below = numbers["bias_points"] <= 0
    x, y, ha, va = (0.97, 0.03, "right", "bottom") if below else (0.03, 0.97, "left", "top")
    axes.text(x, y, _say(numbers), transform=axes.transAxes, ha=ha, va=va)


def say_correlation(numbers: dict[str, Any]) -> str:
    """Spearman's correlation with its 95 % interval, or why there is none."""
    correlation, low, high = (numbers[f"spearman{end}"] for end in ("", "_low", "_high"))
    if correlation is None:
        return "none: all are equal"
    if low is None:
        return f"{correlation:.3f} (fewer than 4 designs: no interval)"
    return f"{correlation:.3f} [{low:.2f}, {high:.2f}]"


def say_time(share: float) -> str:
    """How much of the training's time an estimate takes: ``5 % of``, ``3.2 times``."""
    return f"{100 * share:.0f} % of" if share < 1 else f"{share:.3g} times"


def _say(numbers: dict[str, Any]) -> str:
    return "\n".join(
        [
            f"Spearman {say_correlation(numbers)}",
            f"mean error {numbers['mean_error_points']:.1f} points",
            f"{say_time(numbers['time_share'])} the training time",
        ]
    )


def _limit(axes: Axes, rows: list[dict[str, Any]], kinds: list[str]) -> None:
    values = 100 * np.array([row[key] for row in rows for key in ("trained", *kinds)])
    margin = 0.06 * np.ptp(values) + 0.5
    limits = values.min() - margin, min(100.5, values.max() + margin)
    axes.set_xlim(*limits)
    axes.set_ylim(*limits)
