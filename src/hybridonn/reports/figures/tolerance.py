"""Many simulated chips before and after compensation: tolerance.json as a figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hybridonn.core.errors import ArtefactError
from hybridonn.optics.fabrication.table import ERRORS
from hybridonn.reports.artefacts.reading import read_json, refusal
from hybridonn.reports.figures.save import save_figure
from hybridonn.reports.figures.style import FAINT, INK, PALETTE, WIDTH_IN, styled
from hybridonn.reports.tables.treatments import TREATMENTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STAGE = "hybridonn tolerance"
DESIGN = {"none": "design itself"}  # the row of the design, without any error


def write_tolerance(folder: Path) -> tuple[Path, Path]:
    """Draw folder/tolerance.json to folder/tolerance.png and .svg.

    Raises:
        ArtefactError: The file is missing or damaged.
    """
    path = folder / "tolerance.json"
    found = read_json(path, STAGE)
    try:
        figure = draw_tolerance(found)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        wrong = f"a key or a value is missing or of the wrong kind ({error})"
        raise ArtefactError(refusal(path, STAGE, wrong)) from None
    return save_figure(figure, folder / "tolerance")


@styled
def draw_tolerance(found: dict[str, Any]) -> Figure:
    """Draw every chip under each treatment, and what each error costs alone.

    Args:
        found: What :func:`hybridonn.studies.tolerance.tolerate` returns.
    """
    from matplotlib.figure import Figure

    height = max(4.6, 1.4 + 0.24 * len(found["alone"]))  # a line of text for each error
    if found["alone"]:
        figure = Figure(figsize=(WIDTH_IN, height), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
        _draw_alone(right, found)
    else:
        figure = Figure(figsize=(0.6 * WIDTH_IN, height), layout="constrained")
        left = figure.subplots()
    _draw_chips(left, found)
    name = str(found["name"]).replace("$", r"\$")
    count = len(found["chips"])
    title = f"{name}: {count} simulated chip{'s' * (count != 1)}, preset {found['preset']}"
    figure.suptitle(title, fontweight="bold", fontsize=11)
    return figure


def _draw_chips(axes: Axes, found: dict[str, Any]) -> None:
    from matplotlib.patheffects import withStroke

    keys = [key for key in TREATMENTS if key in found["summary"]]
    values = 100 * np.array([[row[key] for key in keys] for row in found["chips"]])
    for place, column in enumerate(values.T):
        spread = place + (np.linspace(-0.12, 0.12, len(column)) if len(column) > 1 else 0)
        axes.plot(spread, column, "o", color=PALETTE[0], ms=5, alpha=0.75, markeredgewidth=0)
        axes.hlines(column.mean(), place - 0.3, place + 0.3, color=INK, linewidth=1.8)
        look: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "va": "top"}
        look["path_effects"] = [withStroke(linewidth=3, foreground="white")]
        axes.annotate(f"{column.mean():.2f}", (place, column.min()), (0, -7), **look)
    ideal, least = 100 * found["ideal"], 100 * found["threshold"]
    for level, name, dashes in ((ideal, "ideal optics", "--"), (least, "good from", ":")):
        axes.axhline(level, color=FAINT, linestyle=dashes, linewidth=1.2)
        look = {"textcoords": "offset points", "color": FAINT, "va": "bottom", "ha": "left"}
        axes.annotate(f"{name} {level:.4g}", (-0.45, level), (0, 2), **look)
    axes.set_xticks(range(len(keys)), [_name_treatment(key, found["summary"]) for key in keys])
    axes.set_xlim(-0.5, len(keys) - 0.5)
    axes.margins(y=0.1)
    axes.set_ylim(top=max(ideal, least, values.max()) + 0.08 * np.ptp(values) + 0.5)
    axes.set_ylabel(f"test {found['label']} (%)")
    axes.set_title(
        "Every chip and the mean; below, the share of\ngood chips with its 95 % interval",
        fontsize=10,
    )
    axes.grid(True, axis="y")
    axes.set_axisbelow(True)


def _name_treatment(key: str, summary: dict[str, Any]) -> str:
    """A treatment and the share of chips that it makes good, in four lines."""
    share, low, high = (100 * summary[key][name] for name in ("yield", "yield_low", "yield_high"))
    name = TREATMENTS[key].replace(" ", "\n", 1)
    name += "\n" * ("\n" not in name)
    return f"{name}\n{share:.0f} %\n[{low:.0f}, {high:.0f}]"


def _draw_alone(axes: Axes, found: dict[str, Any]) -> None:
    rows = sorted(found["alone"], key=lambda row: row["mean"], reverse=True)
    places = np.arange(len(rows))
    drops = 100 * np.array([found["alone_ideal"] - row["mean"] for row in rows])
    axes.barh(places, drops, color=PALETTE[6], height=0.6)
    ends = [[row[key] for row in rows] for key in ("highest", "lowest")]
    best, worst = 100 * (found["alone_ideal"] - np.array(ends))
    sides = [drops - best, worst - drops]
    axes.errorbar(drops, places, xerr=sides, fmt="none", color=INK, elinewidth=1, capsize=2)
    for place, drop in zip(places, drops, strict=True):
        look: dict[str, Any] = {"textcoords": "offset points", "ha": "left", "va": "center"}
        axes.annotate(f"{drop:.2f}", (max(worst[place], 0), place), (5, 0), **look)
    axes.set_yticks(places, [_name(row) for row in rows])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    images = f"{found['alone_images']:,} test images"
    axes.set_xlabel(f"points lost by this error alone\n(uncompensated, {images})")
    axes.set_title("Which error costs how much\n(mean and range over chips)", fontsize=10)
    axes.margins(x=0.2)
    axes.grid(True, axis="x")
    axes.set_axisbelow(True)


def _name(row: dict[str, Any]) -> str:
    """An error and its magnitude, with the unit; what is only on or off has none."""
    labels = DESIGN | {record.key: record.label for record in ERRORS}
    name, magnitude = labels.get(row["error"], str(row["error"])), row["magnitude"]
    if isinstance(magnitude, bool) or not magnitude:
        return name
    what, _, unit = name.removesuffix(")").partition(" (")
    return f"{what} {magnitude:g} {unit}".rstrip()
