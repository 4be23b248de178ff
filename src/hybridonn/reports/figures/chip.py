"""Figures of the chip: treatments, the curve over captures, kernels and PSFs built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hybridonn.distillation.methods import METHODS as TABLE
from hybridonn.reports.artefacts.chip import Chip, ChipOptics, Treatment
from hybridonn.reports.artefacts.reading import Table
from hybridonn.reports.figures.registration import draw_pairs
from hybridonn.reports.figures.style import FAINT, INK, PALETTE, WIDTH_IN, styled
from hybridonn.reports.formats import decimals
from hybridonn.reports.statistics import wilson_interval
from hybridonn.reports.tables.treatments import TREATMENTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hybridonn.tasks.task import Task

COLOURS = {
    "uncompensated": PALETTE[2],
    "calibrated": PALETTE[1],
    **{name: method.colour for name, method in TABLE.items()},
}
MOST_PAIRS = 16  # panels of kernels or of point spread functions that fit on a page
WINDOW = 2  # sides of a kernel, beyond which a window is not drawn


@styled
def draw_treatments(chip: Chip, task: Task) -> Figure:
    """Draw the metric under each treatment with its 95 % interval, and the compensated enlarged.

    Args:
        chip: Treatments of the chip, and the ideal optics.
        task: What the network is for, which names the metric.
    """
    from matplotlib.figure import Figure

    count = len(chip.treatments)
    figure = Figure(figsize=(WIDTH_IN if count > 1 else 6.5, 1.5 + 0.42 * count))
    figure.set_layout_engine("constrained")
    panels = figure.subplots(1, 2 if count > 1 else 1, sharey=True, squeeze=False)[0]
    for axes, some in zip(panels, (chip.treatments, chip.treatments[1:]), strict=False):
        _draw_intervals(axes, some, chip, task.label)
    names = [TREATMENTS.get(one.method, one.method) for one in chip.treatments]
    panels[0].set_yticks(range(count), names)
    panels[0].set_ylim(count - 0.4, -0.6)
    for label, one in zip(panels[0].get_yticklabels(), chip.treatments, strict=True):
        label.set_fontweight("bold" if one is chip.kept else "normal")
    panels[0].set_title("All treatments" if count > 1 else "As fabricated")
    if count > 1:
        panels[1].set_title("Compensated, enlarged")
        panels[1].tick_params(left=False)
    return figure


def _draw_intervals(axes: Axes, some: tuple[Treatment, ...], chip: Chip, label: str) -> None:
    count, level, places = len(chip.treatments), 100 * chip.ideal.value, decimals(chip.total)
    if chip.ideal.interval is not None:
        axes.axvspan(*(100 * end for end in chip.ideal.interval), color="#eceff1", linewidth=0)
    axes.axvline(level, color=FAINT, linestyle="--", linewidth=1.2)
    for place, one in enumerate(some, count - len(some)):
        colour = COLOURS.get(one.method, INK)
        low, high = (100 * end for end in one.interval or (one.value, one.value))
        axes.plot([low, high], [place, place], color=colour, linewidth=2.4)
        axes.plot(100 * one.value, place, "o", color=colour, ms=7)
        look: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "va": "bottom"}
        look["bbox"] = {"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.85}
        axes.annotate(f"{100 * one.value:.{places}f}", (100 * one.value, place), (0, 5), **look)
    axes.annotate(
        f"ideal optics {level:.{places}f}", (level, count - 0.45), (-4, 0), color="#60666d",
        textcoords="offset points", ha="right", va="bottom", fontsize=9,
    )  # fmt: skip
    axes.set_xlabel(f"test {label} (%)")
    axes.margins(x=0.08)
    axes.grid(True, axis="x")
    axes.set_axisbelow(True)


@styled
def draw_fractions(curve: Table, chip: Chip, task: Task) -> Figure:
    """Draw the metric against the fraction of captures that the compensation used.

    Args:
        curve: Columns ``fraction``, ``captures``, ``calibrated``, ``fine_tuned``.
        chip: Treatments of the chip, and the ideal optics.
        task: What the network is for, which names the metric.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, 4.2), layout="constrained")
    panels = figure.subplots(1, 2)
    for axes in panels:
        _draw_curve(axes, curve, chip, task)
    _draw_level(panels[0], "as fabricated", chip.treatments[0].value, chip.total)
    panels[0].set_title("Beside the chip as fabricated")
    panels[1].set_title("Enlarged")
    panels[1].legend(loc="best")
    return figure


def _draw_curve(axes: Axes, curve: Table, chip: Chip, task: Task) -> None:
    tuned = chip.numbers.get("fractions_by", chip.numbers["method"])  # a run of before has none
    for column, name in (("calibrated", "calibrated"), ("fine_tuned", tuned)):
        values, colour = 100 * curve[column], COLOURS.get(name, INK)
        axes.plot(curve["fraction"], values, "o-", label=TREATMENTS.get(name, name), color=colour)
        if task.whole:  # the interval of other scores needs those of each image
            low, high = _bounds(curve[column], chip.total)
            axes.fill_between(curve["fraction"], low, high, alpha=0.13, lw=0, color=colour)
    _draw_level(axes, "ideal optics", chip.ideal.value, chip.total)
    axes.set_xscale("log")
    labels = [
        f"{100 * fraction:.3g} %\n{captures:,.0f}"
        for fraction, captures in zip(curve["fraction"], curve["captures"], strict=True)
    ]
    axes.set_xticks(curve["fraction"], labels)
    axes.minorticks_off()
    axes.set_xlabel("captures used: fraction and number")
    axes.set_ylabel(f"test {task.label} (%)")
    axes.margins(y=0.1)
    axes.grid(True, axis="y")
    axes.set_axisbelow(True)


def _draw_level(axes: Axes, name: str, value: float, total: int) -> None:
    text = f"{name} {100 * value:.{decimals(total)}f}"
    axes.axhline(100 * value, color=FAINT, linestyle="--", linewidth=1.2)
    axes.annotate(
        text, (1, 100 * value), (0, 3), ha="right", va="bottom",
        xycoords=("axes fraction", "data"), textcoords="offset points", color="#60666d",
    )  # fmt: skip


def _bounds(values: np.ndarray, total: int) -> np.ndarray:
    """The 95 % intervals of accuracies in per cent, (2, N)."""
    ends = [wilson_interval(round(float(value) * total), total) for value in values]
    return 100 * np.array(ends).T


@styled
def draw_built_kernels(optics: ChipOptics, built_as: str) -> Figure:
    """Draw signed kernels as designed, as fabricated, and their difference, with the error of each.

    Args:
        optics: Designed and built.
        built_as: What the built ones are called: ``built`` or ``measured``.
    """
    designed, built = (_sign(psfs) for psfs in (optics.designed, optics.built))
    bands = designed.shape[1]
    chosen = choose_kernels(optics, MOST_PAIRS // bands)
    names = [_name(kernel, "", band, bands) for kernel in chosen for band in range(bands)]
    window = WINDOW * optics.size
    pairs = [_crop(some[chosen], window) for some in (designed, built)]
    one, other = (some.reshape(-1, *some.shape[-2:]) for some in pairs)
    notes = [f"error {100 * error:.0f} %" for error in _errors(one, other)]
    return draw_pairs(("designed", one), (built_as, other), names, notes, "weight")


@styled
def draw_built_psfs(optics: ChipOptics, built_as: str) -> Figure:
    """Draw the two PSFs of some kernels as designed, as fabricated, and their difference.

    Args:
        optics: Designed and built.
        built_as: What the built ones are called: ``built`` or ``measured``.
    """
    bands = optics.designed.shape[2]
    chosen = choose_kernels(optics, MOST_PAIRS // (2 * bands))
    names = [
        _name(kernel, sign, band, bands)
        for kernel in chosen
        for sign in "+−"
        for band in range(bands)
    ]
    window = WINDOW * optics.size
    pairs = [_crop(some[chosen], window) for some in (optics.designed, optics.built)]
    one, other = (some.reshape(-1, *some.shape[-2:]) for some in pairs)
    notes = [f"error {100 * error:.0f} %" for error in _errors(one, other)]
    return draw_pairs(
        ("designed", one), (built_as, other), names, notes, "light, in weights of the kernels"
    )


def choose_kernels(optics: ChipOptics, most: int) -> list[int]:
    """At most so many kernels, evenly from the one built best to the one built worst."""
    pairs = (_sign(psfs) for psfs in (optics.designed, optics.built))
    order = np.argsort(_errors(*(some.reshape(len(some), -1) for some in pairs)), kind="stable")
    number = max(1, min(most, len(order)))
    return [
        int(order[place]) for place in np.linspace(0, len(order) - 1, number).round().astype(int)
    ]


def _sign(psfs: np.ndarray) -> np.ndarray:
    """Signed kernels of PSFs that are turned by half a turn: (K, 2, C, P, P) to (K, C, P, P)."""
    return (psfs[:, 0] - psfs[:, 1])[..., ::-1, ::-1]


def _errors(designed: np.ndarray, built: np.ndarray) -> np.ndarray:
    """``|built - designed| / |designed|`` of each kernel or point spread function."""
    axes = tuple(range(1, designed.ndim))
    size = np.sqrt((designed**2).sum(axes))
    return np.sqrt(((built - designed) ** 2).sum(axes)) / np.where(size > 0, size, np.inf)


def _crop(planes: np.ndarray, side: int) -> np.ndarray:
    margin = max(0, (planes.shape[-1] - side) // 2)
    inner = slice(margin, planes.shape[-1] - margin)
    return planes[..., inner, inner]


def _name(kernel: int, sign: str, band: int, bands: int) -> str:
    return f"{kernel}{sign}" + (f" band {band}" if bands > 1 else "")
