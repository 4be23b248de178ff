"""Accuracy against the number of fixed random kernels: random_kernels.json as a figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hybridonn.core.errors import ArtefactError
from hybridonn.reports.artefacts.reading import read_json, refusal
from hybridonn.reports.figures.save import save_figure
from hybridonn.reports.figures.style import INK, PALETTE, WIDTH_IN, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STAGE = "hybridonn study random-kernels"


def write_random_kernels(folder: Path) -> tuple[Path, Path]:
    """Draw folder/random_kernels.json to folder/random_kernels.png and .svg.

    Raises:
        ArtefactError: The file is missing or damaged.
    """
    path = folder / "random_kernels.json"
    table = read_json(path, STAGE)
    try:
        figure = draw_random_kernels(table)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        found = f"a key or a value is missing or of the wrong kind ({error})"
        raise ArtefactError(refusal(path, STAGE, found)) from None
    return save_figure(figure, folder / "random_kernels")


@styled
def draw_random_kernels(table: dict[str, Any]) -> Figure:
    """Draw mean and its 95 % interval over the draws by number of kernels, and the paper's numbers.

    Args:
        table: What :func:`hybridonn.studies.random_kernels.random_kernels` returns.
    """
    from matplotlib.figure import Figure

    columns = table["columns"]
    figure = Figure(figsize=(WIDTH_IN * 0.75, 4.4), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(columns))
    means, low, high, paper = (
        np.array([np.nan if one[key] is None else one[key] for one in columns], dtype=float)
        for key in ("mean", "low", "high", "paper")
    )
    look = {"fmt": "o-", "ms": 7, "capsize": 4, "elinewidth": 1.8, "color": PALETTE[0]}
    draws = max(len(one["values"]) for one in columns)
    label = "here, one draw" if draws == 1 else f"here, mean of {draws} draws, 95 % interval"
    sides = 100 * np.nan_to_num([means - low, high - means])  # one draw has no interval
    axes.errorbar(places, 100 * means, sides, label=label, **look)
    if np.isfinite(paper).any():
        look = {"ms": 7, "color": PALETTE[6], "linestyle": "--"}
        axes.plot(places, paper, "D", label="Xiang et al. 2025, table 5", **look)
    for place, mean in zip(places, means, strict=True):
        look: dict[str, Any] = {"textcoords": "offset points", "ha": "left", "color": INK}
        axes.annotate(f"{100 * mean:.2f}", (place, 100 * mean), (8, -14), **look)
    axes.set_xticks(places, ["∞" if c["kernels"] == "infinite" else c["kernels"] for c in columns])
    axes.set_xlabel("random kernels")
    axes.set_ylabel("test accuracy (%)")
    name = str(table["name"]).replace("$", r"\$")
    size = table["kernel_size"]
    axes.set_title(
        f"{name}: fixed random {size} × {size} kernels, a trained head, "
        f"{table['train_images']:,} images"
    )
    axes.margins(x=0.1, y=0.2)
    axes.grid(True, axis="y")
    axes.set_axisbelow(True)
    axes.legend(loc="lower right")
    return figure
