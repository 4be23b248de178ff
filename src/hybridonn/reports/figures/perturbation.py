"""Change of the tangent kernel against number of kernels: perturbation.json as a figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hybridonn.core.errors import ArtefactError
from hybridonn.reports.artefacts.reading import read_json, refusal
from hybridonn.reports.figures.save import save_figure
from hybridonn.reports.figures.style import FAINT, MARKERS, PALETTE, WIDTH_IN, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STAGE = "hybridonn study perturbation"


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
    """Draw the relative change of each error with its fit, and both laws through the first point.

    Args:
        found: What :func:`hybridonn.studies.perturbation.perturb` returns.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN * 0.9, 4.6), layout="constrained")
    axes, rows = figure.subplots(), found["rows"]
    errors = sorted({row["error"] for row in rows})
    for place, error in enumerate(errors):
        some = [row for row in rows if row["error"] == error]
        m, change, lowest, highest = (
            np.array([row[key] for row in some])
            for key in ("kernels", "change", "lowest", "highest")
        )
        slope, (low, high) = (found[key][f"{error:g}"] for key in ("slopes", "intervals"))
        look: dict[str, Any] = {"color": PALETTE[place % len(PALETTE)], "ms": 6, "capsize": 3}
        look |= {"fmt": f"{MARKERS[place % len(MARKERS)]}-", "elinewidth": 1.2}
        label = f"error {error:g}: m^{slope:.2f} [{low:.2f}, {high:.2f}]".replace("-", "−")
        beside = m * 1.05 ** (place - (len(errors) - 1) / 2)  # so that no bar hides another
        axes.errorbar(beside, change, [change - lowest, highest - change], label=label, **look)
        for power, style in ((-0.5, "--"), (-1.0, ":")):
            law = change[0] * (m / m[0]) ** power
            label = {-0.5: "1/√m", -1.0: "1/m"}[power] if place == 0 else None
            axes.loglog(m, law, style, color=FAINT, linewidth=1.1, label=label, zorder=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    counts = sorted({row["kernels"] for row in rows})
    axes.set_xticks(counts, counts)
    axes.minorticks_off()
    axes.set_xlabel("number of kernels m")
    axes.set_ylabel("relative change of the kernel, ‖Θ′ − Θ‖ / ‖Θ‖")
    name = str(found["name"]).replace("$", r"\$")
    axes.set_title(f"{name}: how far kernel errors move the tangent kernel")
    axes.grid(True)
    axes.set_axisbelow(True)
    title = f"exponent and its 95 % interval;\nbars: range of {found['draws']} draws"
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), title=title, alignment="left")
    return figure
