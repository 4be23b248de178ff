"""Kernels first against end to end: strategies.json by PSF evaluations and by seconds."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from hybridonn.core.errors import ArtefactError
from hybridonn.reports.artefacts.reading import read_json, refusal
from hybridonn.reports.figures.save import save_figure
from hybridonn.reports.figures.style import MARKERS, PALETTE, WIDTH_IN, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STAGE = "hybridonn study strategies"
AXES = {"evaluations": "PSF evaluations, forth and back", "seconds": "seconds"}


def write_strategies(folder: Path) -> tuple[Path, Path]:
    """Draw folder/strategies.json to folder/strategies.png and .svg.

    Raises:
        ArtefactError: The file is missing or damaged.
    """
    path = folder / "strategies.json"
    table = read_json(path, STAGE)
    try:
        figure = draw_strategies(table)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        found = f"a key or a value is missing or of the wrong kind ({error})"
        raise ArtefactError(refusal(path, STAGE, found)) from None
    return save_figure(figure, folder / "strategies")


@styled
def draw_strategies(table: dict[str, Any]) -> Figure:
    """Draw the metric of each variant by PSF evaluations and by seconds.

    Filled marks are means with 95 % intervals; hollow ones are what the same networks would have
    claimed with PSFs that are cropped to their kernels.

    Args:
        table: What :func:`hybridonn.studies.strategies.study_strategies` returns.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    figure = Figure(figsize=(WIDTH_IN, 5.2), layout="constrained")
    panels = figure.subplots(1, len(AXES), sharey=True)
    label = str(table["label"]).replace("$", r"\$")
    for axes, (key, name) in zip(panels, AXES.items(), strict=True):
        for place, variant in enumerate(dict.fromkeys(p["variant"] for p in table["points"])):
            own = [point for point in table["points"] if point["variant"] == variant]
            _draw_variant(axes, own, key, place)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(name)
        axes.grid(True, axis="both")
        axes.set_axisbelow(True)
    panels[0].set_ylabel(f"test {label} (%)")
    seeds = len(table["seeds"])
    count = f"{seeds} paired seed{'s' * (seeds > 1)}" + (", 95 % interval" if seeds > 1 else "")
    design = fill(str(table["design"]), 40).replace("$", r"\$")
    figure.suptitle(f"{design}\n{label} behind the metasurface, {count}", fontweight="bold")
    handles, labels = panels[0].get_legend_handles_labels()
    hollow = panels[0].plot([], [], "o", mfc="none", mec="#57606a", label="claimed by cropped PSFs")
    figure.legend([*handles, *hollow], [*labels, "claimed by cropped PSFs"],
                  loc="outside lower center", ncols=2)  # fmt: skip
    return figure


def _draw_variant(axes: Axes, points: list[dict[str, Any]], key: str, place: int) -> None:
    """A line through the budgets of a variant."""
    points = sorted(points, key=lambda point: point[key])
    colour, marker = PALETTE[place % len(PALETTE)], MARKERS[place % len(MARKERS)]
    places, means = [one[key] for one in points], [100 * one["mean"] for one in points]
    sides = None
    if points[0]["low"] is not None:
        # The interval of equal values may miss their mean by rounding.
        ends = [
            [max(one["mean"] - one["low"], 0.0), max(one["high"] - one["mean"], 0.0)]
            for one in points
        ]
        sides = [[100 * one[side] for one in ends] for side in range(2)]
    look: dict[str, Any] = {"color": colour, "marker": marker, "capsize": 3, "elinewidth": 1.3}
    axes.errorbar(places, means, sides, label=points[0]["label"], **look)
    claimed = [100 * one["cropped"] for one in points]
    axes.plot(places, claimed, marker, mfc="none", mec=colour, ls="none")
