"""What an image costs: energy by several assumptions, and latency of the backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hybridonn.reports.figures.style import WIDTH_IN, colour_of, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def draw_cost(energy: Sequence[Mapping[str, Any]], latency_us: Mapping[str, float]) -> Figure:
    """Draw energies of an image on a logarithmic axis, and latencies of the backend.

    Args:
        energy: Rows with ``network``, ``assumption`` and ``joules``.
        latency_us: Microseconds of an image, by runtime.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    _draw_energy(left, energy)
    _draw_latency(right, latency_us)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=len(labels))
    return figure


def _draw_energy(axes: Axes, energy: Sequence[Mapping[str, Any]]) -> None:
    assumptions = list(dict.fromkeys(row["assumption"] for row in energy))
    for number, network in enumerate(dict.fromkeys(row["network"] for row in energy)):
        rows = [row for row in energy if row["network"] == network]
        places = [assumptions.index(row["assumption"]) for row in rows]
        joules = [row["joules"] for row in rows]
        axes.scatter(joules, places, s=48, color=colour_of(number), label=network, zorder=2)
    axes.set_xscale("log")
    axes.set_yticks(range(len(assumptions)), assumptions)
    axes.set_ylim(len(assumptions) - 0.5, -0.5)
    axes.grid(axis="x")
    axes.set_xlabel("energy of an image (J)")
    axes.set_title("Energy, by assumption")


def _draw_latency(axes: Axes, latency_us: Mapping[str, float]) -> None:
    names, values = list(latency_us), list(latency_us.values())
    axes.barh(range(len(names)), values, 0.6, color="#3f6fb0")
    for place, value in enumerate(values):
        axes.text(value, place, f" {value:.3g}", va="center", fontsize=9)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 1.2 * max(values, default=1.0))
    axes.set_xlabel("microseconds of an image, one thread")
    axes.set_title("Latency of the backend, here")
