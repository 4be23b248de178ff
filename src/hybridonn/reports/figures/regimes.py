"""Where KD and NTKD pay: regimes.json as heat maps over training images and epochs."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from hybridonn.core.errors import ArtefactError
from hybridonn.reports.artefacts.reading import read_json, refusal
from hybridonn.reports.figures.save import save_figure
from hybridonn.reports.figures.style import DIVERGING, INK, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

STAGE = "hybridonn study regimes"
PANELS = 2  # heat maps side by side
CELL_IN = (1.35, 0.75)  # width and height of a point with three lines of text
NOT_MEASURED = "#e3e3e3"  # white is a difference of zero
FAR = 0.6  # of the largest difference, from which text is white


def write_regimes(folder: Path) -> tuple[Path, Path]:
    """Draw folder/regimes.json to folder/regimes.png and .svg.

    Raises:
        ArtefactError: The file is missing or damaged.
    """
    path = folder / "regimes.json"
    table = read_json(path, STAGE)
    try:
        figure = draw_regimes(table)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        found = f"a key or a value is missing or of the wrong kind ({error})"
        raise ArtefactError(refusal(path, STAGE, found)) from None
    return save_figure(figure, folder / "regimes")


@styled
def draw_regimes(table: dict[str, Any]) -> Figure:
    """Draw a heat map for each difference: mean in points, its 95 % interval, seconds of both.

    KD - task alone has a scale of its own; all maps of NTKD - KD share one. An interval that leaves
    out zero is bold, a place without a point grey: not measured.

    Args:
        table: What :func:`hybridonn.studies.regimes.study_regimes` returns.
    """
    from matplotlib.figure import Figure

    compared = list(
        dict.fromkeys(
            (one["variant"], one["baseline"])
            for point in table["points"]
            for one in point["differences"]
        )
    )
    images = sorted({point["images"] for point in table["points"]})
    epochs = sorted({point["epochs"] for point in table["points"]})
    columns = min(PANELS, len(compared))
    rows = -(-len(compared) // columns)
    width = columns * (1.9 + CELL_IN[0] * len(epochs))
    size = max(width, 6.0), 1.1 + rows * (1.1 + CELL_IN[1] * len(images))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels[len(compared) :]:
        panel.set_axis_off()
    for pair, axes in zip(compared, panels, strict=False):
        same = [one for one in compared if one[1] == pair[1]]
        _draw_map(axes, table, pair, (images, epochs), _find_scale(table, same))
    figure.suptitle(_title(table), fontweight="bold", fontsize=11)
    return figure


def _title(table: dict[str, Any]) -> str:
    label = str(table["label"]).replace("$", r"\$")
    counts = [one["n"] for point in table["points"] for one in point["differences"]]
    least, most = min(counts), max(counts)
    seeds = f"{least} to {most}" if least < most else f"{most}"
    count = f"{seeds} paired seed{'s' * (most > 1)}"
    interval = "95 % intervals and " if most > 1 else ""
    design = fill(str(table["design"]), 40).replace("$", r"\$")
    below = f"below each: {interval}seconds of both trainings"
    return f"{design}\ndifferences of test {label} in points, {count}\n{below}"


def _find_scale(table: dict[str, Any], compared: list[tuple[str, str]]) -> Normalize:
    """A scale that is even around zero, over all differences of these pairs."""
    from matplotlib.colors import Normalize

    means = [
        abs(100 * one["mean"])
        for point in table["points"]
        for one in point["differences"]
        if (one["variant"], one["baseline"]) in compared
    ]
    most = max(*means, 0.1)
    return Normalize(-most, most)


def _draw_map(
    axes: Axes,
    table: dict[str, Any],
    pair: tuple[str, str],
    sides: tuple[list[int], list[int]],
    scale: Normalize,
) -> None:
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap

    images, epochs = sides
    values = np.full((len(images), len(epochs)), np.nan)
    axes.set_facecolor(NOT_MEASURED)
    for point in table["points"]:
        found = _find(point, pair)
        if found is None:
            continue
        place = images.index(point["images"]), epochs.index(point["epochs"])
        values[place] = 100 * found["mean"]
        _write_cell(axes, place, found, point, scale)
    for row, column in np.argwhere(np.isnan(values)):
        axes.text(column, row, "not measured", ha="center", va="center", color=INK, fontsize=7.5)
    colours = LinearSegmentedColormap.from_list("differences", DIVERGING)
    drawn = axes.imshow(values, cmap=colours, norm=scale, aspect="auto", origin="lower")
    variant, baseline = (table["variants"][name] for name in pair)
    axes.set_title(f"{variant} - {baseline}")
    axes.set_xticks(range(len(epochs)), [f"{count:,}" for count in epochs])
    axes.set_yticks(range(len(images)), [f"{count:,}" for count in images])
    passes = table.get("passes_per_epoch", 1)
    axes.set_xlabel("epochs" if passes == 1 else f"epochs of {passes} passes")
    axes.set_ylabel("training images")
    bar = axes.figure.colorbar(drawn, ax=axes, fraction=0.05, pad=0.02)
    bar.set_label("points")


def _find(point: dict[str, Any], pair: tuple[str, str]) -> dict[str, Any] | None:
    found = (one for one in point["differences"] if (one["variant"], one["baseline"]) == pair)
    return next(found, None)


def _write_cell(
    axes: Axes,
    place: tuple[int, int],
    found: dict[str, Any],
    point: dict[str, Any],
    scale: Normalize,
) -> None:
    mean = 100 * found["mean"]
    colour = "white" if abs(mean) > FAR * float(scale.vmax or 1) else INK
    seconds = (point["variants"][found[key]]["seconds"] for key in ("variant", "baseline"))
    cost = " / ".join(f"{one:,.3g}" for one in seconds) + " s"
    certain = found["low"] is not None and (found["low"] > 0 or found["high"] < 0)
    weight = "bold" if certain else "normal"
    row, column = place
    axes.text(
        column, row + 0.2, f"{mean:+z.2f}", ha="center", va="center", color=colour, weight=weight
    )
    lines = [cost]
    if found["low"] is not None:
        lines.insert(0, f"{100 * found['low']:+z.2f} to {100 * found['high']:+z.2f}")
    look: dict[str, Any] = {"ha": "center", "va": "center", "color": colour, "fontsize": 7.5}
    axes.text(column, row - 0.17, "\n".join(lines), **look)
