"""Draws docs/margins.png of docs/margins.csv: what KD and the tangent term are worth, and where.

python benchmarks/draw_margins.py

Each row of the table stands, with its command, in docs/results.md or in the pages of docs/results.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

DOCS = Path(__file__).parents[1] / "docs"
PANELS = {"kd_over_task": "KD - task alone", "ntkd_over_kd": "NTKD - KD"}
AHEAD, EVEN, BEHIND = "#1f6fb5", "#777777", "#d35400"
LEGEND = {
    AHEAD: "ahead: the interval is above zero",
    EVEN: "not to be told from zero",
    BEHIND: "behind: the interval is below zero",
}


def main() -> None:
    """Draw the figure and write it."""
    with (DOCS / "margins.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    places = lay_out(rows)
    figure, axes = plt.subplots(1, 2, figsize=(10.4, 7.1), sharey=True, layout="constrained")
    for axis, (name, title) in zip(axes, PANELS.items(), strict=True):
        draw_panel(axis, rows, places, name)
        axis.set_title(title)
        axis.set_xlabel("points, 95 % interval")
    name_rows(axes[0], rows, places)
    for colour, label in LEGEND.items():
        axes[1].plot([], [], "o-", color=colour, label=label)
    figure.legend(loc="outside lower center", ncols=len(LEGEND), fontsize=8.5, frameon=False)
    figure.savefig(DOCS / "margins.png", dpi=150)


def lay_out(rows: list[dict[str, str]]) -> list[float]:
    """The height of each row, top down; a new group leaves room for its heading."""
    places, place, group = [], 0.0, ""
    for row in rows:
        place -= 1.0 if row["group"] == group else 2.2
        places.append(place)
        group = row["group"]
    return places


def draw_panel(axis: Any, rows: list[dict[str, str]], places: list[float], name: str) -> None:
    """Draw the differences of one pair of methods; one that was not measured says so."""
    axis.axvline(0, color="black", linewidth=0.8)
    for row, place in zip(rows, places, strict=True):
        if not row[name]:
            axis.text(0.1, place, "not measured", va="center", fontsize=7.5, color=EVEN)
            continue
        mean, low, high = (float(row[name + end]) for end in ("", "_low", "_high"))
        colour = AHEAD if low > 0 else BEHIND if high < 0 else EVEN
        axis.plot([low, high], [place, place], color=colour, linewidth=2)
        axis.plot(mean, place, "o", color=colour, markersize=5)
        beside = {"xytext": (5, 0), "textcoords": "offset points", "va": "center"}  # of the marker
        where = max(high, 0), place
        axis.annotate(f"{mean:+.2f}", where, **beside, fontsize=8, color=colour)
    ends = [
        float(row[panel + end])
        for panel in PANELS
        for row in rows
        if row[panel]
        for end in ("_low", "_high")
    ]
    axis.set_xlim(min(ends) - 0.3, max(ends) + 3.0)  # one scale; room for the last number
    axis.set_ylim(min(places) - 0.8, 0)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", alpha=0.3)


def name_rows(axis: Any, rows: list[dict[str, str]], places: list[float]) -> None:
    """Write the systems beside their rows and the groups above them."""
    names = [f"{row['system']} ({row['pairs']})".replace("`", "") for row in rows]
    axis.set_yticks(places, names, fontsize=8.5)
    group = ""
    for row, place in zip(rows, places, strict=True):
        if row["group"] != group:
            group = row["group"]
            heading = {"va": "center", "ha": "right", "fontsize": 9, "fontweight": "bold"}
            beside = axis.get_yaxis_transform()  # x as a share of the axis, y as data
            axis.text(-0.02, place + 1, group.replace("`", ""), transform=beside, **heading)


if __name__ == "__main__":
    main()
