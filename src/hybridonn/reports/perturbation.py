"""Change of the tangent kernel against number of kernels: perturbation.json as a figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hybridonn.errors import ArtefactError
from hybridonn.reports.reading import read_json, refusal
from hybridonn.reports.save import save_figure
from hybridonn.reports.style import FAINT, MARKERS, PALETTE, WIDTH_IN, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STAGE = "the study"


def write_perturbation(folder: Path) -> tuple[Path, Path]:
    """Draw folder/perturbation.json to folder/perturbation.png and .svg.

    Raises:
        ArtefactError: The file is missing or damaged.
    """
    path = folder / "perturbation.json"
    found = read_json(path, STAGE)
    try:
        figure = draw_perturbation(found)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        wrong = f"a key or a value is missing or of the wrong kind ({error})"
        raise ArtefactError(refusal(path, STAGE, wrong)) from None
    return save_figure(figure, folder / "perturbation")


@styled
def draw_perturbation(found: dict[str, Any]) -> Figure:
    """Draw the relative change of each error, and both laws through the first point.

    Args:
        found: What :func:`hybridonn.studies.perturbation.perturb` returns.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN * 0.75, 4.6), layout="constrained")
    axes, rows = figure.subplots(), found["rows"]
    for place, error in enumerate(sorted({row["error"] for row in rows})):
        some = [row for row in rows if row["error"] == error]
        m, change = (np.array([row[key] for row in some]) for key in ("kernels", "change"))
        slope = found["slopes"][f"{error:g}"]
        look: dict[str, Any] = {"color": PALETTE[place % len(PALETTE)], "ms": 6}
        marker = f"{MARKERS[place % len(MARKERS)]}-"
        axes.loglog(m, change, marker, label=f"error {error:g}: m^{slope:.2f}", **look)
        for power, style in ((-0.5, "--"), (-1.0, ":")):
            law = change[0] * (m / m[0]) ** power
            label = {-0.5: "1/√m", -1.0: "1/m"}[power] if place == 0 else None
            axes.loglog(m, law, style, color=FAINT, linewidth=1.1, label=label, zorder=0)
    counts = sorted({row["kernels"] for row in rows})
    axes.set_xticks(counts, counts)
    axes.minorticks_off()
    axes.set_xlabel("number of kernels m")
    axes.set_ylabel("‖Θ′ − Θ‖ / ‖Θ‖")
    name = str(found["name"]).replace("$", r"\$")
    axes.set_title(f"{name}: how far kernel errors move the tangent kernel")
    axes.grid(True)
    axes.set_axisbelow(True)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
