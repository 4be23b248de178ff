"""Accuracy against the numbers that a camera reads out: readout.json as a figure."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from hybridonn.core.errors import ArtefactError
from hybridonn.reports.artefacts.reading import read_json, refusal
from hybridonn.reports.figures.save import save_figure
from hybridonn.reports.figures.style import INK, MARKERS, PALETTE, WIDTH_IN, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STAGE = "hybridonn study readout"
LENS = "lens"
PANELS = 3  # bit depths side by side
KERNELS = (PALETTE[0], PALETTE[4], PALETTE[6], PALETTE[2], PALETTE[5], PALETTE[7])


def write_readout(folder: Path) -> tuple[Path, Path]:
    """Draw folder/readout.json to folder/readout.png and .svg.

    Raises:
        ArtefactError: The file is missing or damaged.
    """
    path = folder / "readout.json"
    table = read_json(path, STAGE)
    try:
        figure = draw_readout(table)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        found = f"a key or a value is missing or of the wrong kind ({error})"
        raise ArtefactError(refusal(path, STAGE, found)) from None
    return save_figure(figure, folder / "readout")


@styled
def draw_readout(table: dict[str, Any]) -> Figure:
    """Draw the mean and its 95 % interval against the numbers read, a panel a bit depth.

    Args:
        table: What :func:`hybridonn.studies.readout.sweep_readout` returns.
    """
    from matplotlib.figure import Figure

    depths = sorted({one["bits"] for one in table["points"]})
    rows, columns = -(-len(depths) // PANELS), min(len(depths), PANELS)
    size = (WIDTH_IN * max(0.6, columns / PANELS), 1.2 + 3.4 * rows)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    kernels = sorted({one["kernels"] for one in table["points"] if one["optics"] != LENS})
    label = str(table["label"]).replace("$", r"\$")
    for panel in panels[len(depths) :]:
        panel.set_visible(False)
    for bits, axes in zip(depths, panels, strict=False):
        _draw_depth(axes, [one for one in table["points"] if one["bits"] == bits], kernels)
        axes.set_title(f"{bits} bit{'s' * (bits > 1)}")
    for axes in panels[::columns]:
        axes.set_ylabel(f"test {label} (%)")
    seeds = len(table["seeds"])
    count = f"{seeds} seed{'s' * (seeds > 1)}" + (", mean and 95 % interval" if seeds > 1 else "")
    design = fill(str(table["design"]), 40).replace("$", r"\$")
    title = f"{design}\n{label} behind the camera, {count}"
    figure.suptitle(title, fontweight="bold", fontsize=11)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _draw_depth(axes: Axes, points: list[dict[str, Any]], kernels: list[int]) -> None:
    """One line for the lens and one for each number of ideal kernels."""
    _draw_line(axes, [p for p in points if p["optics"] == LENS], "plain lens", INK, "X")
    for place, count in enumerate(kernels):
        own = [p for p in points if p["optics"] != LENS and p["kernels"] == count]
        label = f"{count} ideal kernel{'s' * (count > 1)}"
        colour = KERNELS[place % len(KERNELS)]
        _draw_line(axes, own, label, colour, MARKERS[place % len(MARKERS)])
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("numbers read out for an image")
    axes.grid(True, axis="both")
    axes.set_axisbelow(True)


def _draw_line(
    axes: Axes, points: list[dict[str, Any]], label: str, colour: str, marker: str
) -> None:
    if not points:
        return
    points = sorted(points, key=lambda one: one["numbers"])
    means = [100 * one["mean"] for one in points]
    sides = None
    if points[0]["low"] is not None:
        ends = [[one["mean"] - one["low"], one["high"] - one["mean"]] for one in points]
        sides = [[100 * one[side] for one in ends] for side in range(2)]
    style = "--" if label == "plain lens" else "-"
    look: dict[str, Any] = {"color": colour, "marker": marker, "ms": 6, "linestyle": style}
    look |= {"capsize": 3, "elinewidth": 1.3}
    axes.errorbar([one["numbers"] for one in points], means, sides, label=label, **look)
