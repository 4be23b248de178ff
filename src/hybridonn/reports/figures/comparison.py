"""Methods compared on paired seeds: comparison.json as a figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hybridonn.core.errors import ArtefactError
from hybridonn.reports.artefacts.reading import read_json, refusal
from hybridonn.reports.figures.save import save_figure
from hybridonn.reports.figures.style import FAINT, INK, PALETTE, WIDTH_IN, styled
from hybridonn.reports.statistics import mean_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STAGE = "hybridonn compare"
HALF_TEXT = 0.25  # of the panel's width: half of a difference with its interval
# Colours of the methods in their order; the paper's own method comes last, in the strongest.
METHODS = (PALETTE[8], PALETTE[6], PALETTE[4], PALETTE[0], PALETTE[5])


def write_comparison(folder: Path) -> tuple[Path, Path]:
    """Draw folder/comparison.json to folder/comparison.png and .svg.

    Raises:
        ArtefactError: The file is missing or damaged, or its numbers do not fit together.
    """
    path = folder / "comparison.json"
    comparison = read_json(path, STAGE)
    try:
        figure = draw_comparison(comparison)
    except KeyError as error:
        raise ArtefactError(refusal(path, STAGE, f"it lacks the key {error}")) from None
    except (TypeError, ValueError, AttributeError) as error:
        raise ArtefactError(
            refusal(path, STAGE, f"a value is of the wrong kind ({error})")
        ) from None
    except ArtefactError as error:
        raise ArtefactError(refusal(path, STAGE, str(error))) from None
    return save_figure(figure, folder / "comparison")


@styled
def draw_comparison(comparison: dict[str, Any]) -> Figure:
    """Draw every seed's value by method, and the paired differences beside them.

    Args:
        comparison: ``methods`` by name, each with ``label``, ``values`` (one a seed),
            and ``mean``; ``seeds``; ``differences``, each with
            ``method``, ``baseline``, ``mean``, ``low`` and ``high``; ``teacher`` or
            None; ``design``; ``label`` of the metric. All as fractions, drawn in per cent.

    Raises:
        ArtefactError: No method, or a method without one value for each seed.
    """
    from matplotlib.figure import Figure

    methods, seeds = comparison["methods"], comparison["seeds"]
    if not methods:
        raise ArtefactError("it compares no methods")
    for name, method in methods.items():
        if len(method["values"]) != len(seeds):
            count = f"{len(method['values'])} values for {len(seeds)} seeds"
            raise ArtefactError(f"the method {name} has {count}")
    figure = Figure(figsize=(WIDTH_IN, 4.4), layout="constrained")
    metric = str(comparison["label"]).replace("$", r"\$")
    count = f"{len(seeds)} seed{'s' if len(seeds) != 1 else ''}"
    design = str(comparison.get("design", "")).replace("$", r"\$")
    figure.suptitle(f"{design}: test {metric}, {count}", fontweight="bold", fontsize=11)
    differences = comparison.get("differences") or []
    panels = figure.subplots(1, 2 if differences else 1, squeeze=False, width_ratios=None).ravel()
    _draw_values(panels[0], methods, metric, comparison.get("teacher"))
    if differences:
        _draw_differences(panels[1], differences, methods)
    return figure


def _draw_values(axes: Axes, methods: dict[str, Any], metric: str, teacher: float | None) -> None:
    places = np.arange(len(methods))
    values = 100 * np.array([method["values"] for method in methods.values()], dtype=float)
    axes.plot(places, values, color=FAINT, linewidth=0.8, alpha=0.7, zorder=1)
    for place, method in enumerate(methods.values()):
        colour = METHODS[place % len(METHODS)]
        axes.plot([place] * values.shape[1], values[place], "o", color=colour, ms=5, alpha=0.7)
        mean, sides, text = _percent(method["mean"]), None, "\n(one seed:\nno interval)"
        if values.shape[1] > 1:
            low, high = (100 * end for end in mean_interval(values[place] / 100))
            sides, text = [[mean - low], [high - mean]], f"\n[{low:.2f}, {high:.2f}]"
        look = {"fmt": "D", "ms": 6, "capsize": 4, "elinewidth": 2, "color": colour}
        axes.errorbar(place + 0.16, mean, sides, zorder=3, **look)
        text = f"{mean:.2f}{text}"
        look = {"textcoords": "offset points", "va": "center", "path_effects": _halo()}
        axes.annotate(text, (place + 0.16, mean), (9, 0), fontsize=9, **look)
    axes.set_xticks(places, [_wrap(str(method["label"])) for method in methods.values()])
    axes.set_xlim(-0.4, len(methods) - 0.02)
    axes.set_ylabel(f"test {metric} (%)")
    axes.set_title("Each seed, mean and its 95 % interval")
    axes.grid(True, axis="y")
    axes.set_axisbelow(True)
    if teacher is not None:
        _draw_teacher(axes, 100 * teacher, values)


def _draw_teacher(axes: Axes, teacher: float, values: np.ndarray) -> None:
    """The teacher's level, or a note where it would squeeze all the others together."""
    low, high = axes.get_ylim()
    span = max(high - low, np.ptp(values))
    if low - span <= teacher <= high + span:
        axes.set_ylim(min(low, teacher - 0.03 * span), max(high, teacher + 0.07 * span))
        axes.axhline(teacher, color=INK, linestyle="--", linewidth=1.2)
        axes.annotate(
            f"teacher {teacher:.2f}", (0.01, teacher), (0, 3), xycoords=("axes fraction", "data"),
            textcoords="offset points", ha="left", va="bottom",
        )  # fmt: skip
        return
    above = teacher > high
    place = {"x": 0.01, "y": 0.98 if above else 0.02, "va": "top" if above else "bottom"}
    arrow = "↑" if above else "↓"
    axes.text(s=f"{arrow} teacher {teacher:.2f}", transform=axes.transAxes, ha="left", **place)


def _draw_differences(
    axes: Axes, differences: list[dict[str, Any]], methods: dict[str, Any]
) -> None:
    names, texts = list(methods), []
    for place, difference in enumerate(differences):
        mean, low, high = (_percent(difference[key]) for key in ("mean", "low", "high"))
        method = str(difference["method"])
        colour = METHODS[names.index(method) % len(METHODS)] if method in names else INK
        sides = [[mean - low], [high - mean]] if np.isfinite(low) else None
        look = {"fmt": "D", "ms": 6, "capsize": 4, "elinewidth": 2, "color": colour}
        axes.errorbar(mean, place, xerr=sides, **look)
        interval = f"[{low:+z.2f}, {high:+z.2f}]" if sides else "(one pair: no interval)"
        texts.append(f"{mean:+z.2f}  {interval}".replace("-", "−"))
    axes.axvline(0, color=INK, linewidth=1, zorder=1)
    labels = [
        f"{_label(methods, item['method'])}\n− {_label(methods, item['baseline'])}"
        for item in differences
    ]
    axes.set_yticks(range(len(differences)), labels)
    axes.set_ylim(len(differences) - 0.5, -0.6)
    axes.set_xlabel("paired difference (points)")
    axes.set_title("Mean difference, 95 % interval")
    axes.grid(True, axis="x")
    axes.set_axisbelow(True)
    axes.margins(x=0.25)
    low, high = axes.get_xlim()
    room = HALF_TEXT * (high - low)
    for place, (difference, text) in enumerate(zip(differences, texts, strict=True)):
        middle = float(np.clip(_percent(difference["mean"]), low + room, high - room))
        look = {"textcoords": "offset points", "ha": "center", "path_effects": _halo()}
        axes.annotate(text, (middle, place), (0, 9), **look)


def _label(methods: dict[str, Any], name: str) -> str:
    label = methods[name]["label"] if name in methods else name
    return str(label).replace("$", r"\$")


def _percent(value: float | None) -> float:
    """In per cent; what one seed cannot give is null in the file and not drawn."""
    return np.nan if value is None else 100 * float(value)


def _halo() -> list:
    """A white outline, so that lines do not cross out a number."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=3, foreground="white")]


def _wrap(text: str) -> str:
    from textwrap import fill

    return fill(text.replace("$", r"\$"), 18)
