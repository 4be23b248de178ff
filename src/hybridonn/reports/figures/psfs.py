"""What the designed metasurface does: its PSFs beside their targets, and its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hybridonn.core.errors import ArtefactError
from hybridonn.reports.artefacts.reading import read_arrays, refusal
from hybridonn.reports.figures.style import WIDTH_IN, diverging, framed, styled, zero_white
from hybridonn.spec import read_spec

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.gridspec import GridSpec

STAGE = "the metasurface stage"
MOST_KERNELS, MOST_ROWS = 4, 9  # a row is a kernel in one colour; more would not fit on a page
BRIGHTEST = 99.5  # per cent of the cells: single speckles would leave all else pale
SHAPES = {"psf": 5, "target": 5, "gains": 3, "fine_psf": 5, "fine_target": 5}
COLUMNS = ("wanted", "camera", "light", "wanted", "camera", "light", "wanted", "got")
GROUPS = ((0, "positive part"), (3, "negative part"), (6, "signed kernel"))


@dataclass(frozen=True)
class SimulatedOptics:
    """What the stage ``metasurface`` leaves for the report; pictures are upright.

    Attributes:
        psf: Light a pixel of the camera, in weights of the kernel, (K, 2, C, n, n).
        target: Wanted, likewise.
        light: Of the shown kernels a cell, relative, (S, 2, C, h, w), of the same extent.
        shown: Which of the K kernels these are.
        sizes: Pixels along a side of each kernel's block on the sensor, (K,).
        binnings: Pixels, along one side, that each kernel's pictures are summed over, (K,).
        wavelengths_nm: Of the C colours.
        results: The numbers of the stage.
    """

    psf: np.ndarray
    target: np.ndarray
    light: np.ndarray
    shown: tuple[int, ...]
    sizes: np.ndarray
    binnings: np.ndarray
    wavelengths_nm: tuple[float, ...]
    results: dict[str, Any]


def read_optics(folder: Path, results: dict[str, Any], kernels: np.ndarray) -> SimulatedOptics:
    """Read what a run's metasurface does.

    Args:
        folder: The run.
        results: The numbers of its stage ``metasurface``.
        kernels: Of the student, (K, C, k, k).

    Raises:
        ArtefactError: A file is missing, damaged, or contradicts another one.
    """
    path = folder / "metasurface" / "psf.npz"
    arrays = read_arrays(path, STAGE, SHAPES)
    count, colours = kernels.shape[:2]
    size, shown = arrays["target"].shape[-1], len(arrays["fine_psf"])
    window, fine = arrays["psf"].shape[-1], arrays["fine_psf"].shape[-1]
    shapes = {
        "psf": (count, 2, colours, window, window),
        "target": (count, 2, colours, size, size),
        "gains": (count, 2, colours),
        "fine_psf": (min(shown, count), 2, colours, fine, fine),
        "fine_target": (shown, 2, colours, fine, fine),
    }
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            found = f"{name} has the shape {arrays[name].shape}, and the kernels are {shape}"
            raise ArtefactError(refusal(path, STAGE, found))
    # A stage of an earlier version has kernels of one size, and shows the first.
    chosen = arrays.get("shown", np.arange(shown))
    sizes = arrays.get("sizes", np.full(count, kernels.shape[-1]))
    binnings = arrays.get("binnings", np.ones(count, int))
    if {len(sizes), len(binnings)} != {count} or sizes.max() != size:
        found = f"the targets have {size} pixels, and the kernels {sizes.max()}"
        raise ArtefactError(refusal(path, STAGE, found))
    if len(chosen) != shown or not set(chosen.tolist()) <= set(range(count)):
        found = f"it shows {shown} kernels and calls them {chosen.tolist()}, of {count}"
        raise ArtefactError(refusal(path, STAGE, found))
    # A target's pixel is as many cells across as the picture a cell repeats it.
    lit = np.count_nonzero(arrays["target"][chosen])
    side = round((np.count_nonzero(arrays["fine_target"]) / max(lit, 1)) ** 0.5)
    if side < 1 or window < size or fine < size * side or fine % side:
        found = f"{fine} cells and {window} pixels do not show a kernel of {size} pixels"
        raise ArtefactError(refusal(path, STAGE, found))
    pixels = min(window, fine // side)
    scale = np.abs(kernels).max(axis=(2, 3))[:, None, :, None, None]
    gains = arrays["gains"][..., None, None]
    return SimulatedOptics(
        psf=resize(arrays["psf"], pixels) * gains,
        target=resize(arrays["target"], pixels) * scale,
        light=resize(arrays["fine_psf"], pixels * side),
        shown=tuple(chosen.tolist()),
        sizes=sizes,
        binnings=binnings,
        wavelengths_nm=_read_wavelengths(folder, colours),
        results=results,
    )


@styled
def draw_optics(optics: SimulatedOptics) -> Figure:
    """Draw wanted and simulated PSFs of some kernels, a row for each colour of a kernel."""
    from matplotlib.figure import Figure

    colours = len(optics.wavelengths_nm)
    kernels = max(1, min(MOST_KERNELS, MOST_ROWS // colours, len(optics.light)))
    rows = [(place, colour) for place in range(kernels) for colour in range(colours)]
    cell = WIDTH_IN / 9.2
    figure = Figure(figsize=(WIDTH_IN, len(rows) * (cell + 0.06) + 0.75))
    top = 1 - 0.55 / figure.get_figheight()
    # Empty columns keep the three groups apart.
    widths = (1, 1, 1, 0.18, 1, 1, 1, 0.18, 1, 1)
    grid = figure.add_gridspec(
        len(rows), 10, left=0.075, right=0.995, top=top, bottom=0.02, hspace=0.06, wspace=0.06,
        width_ratios=widths,
    )  # fmt: skip
    for row, (place, colour) in enumerate(rows):
        _draw_row(figure, grid, row, optics, place, colour)
    return figure


def list_numbers(optics: SimulatedOptics) -> list[tuple[str, ...]]:
    """The numbers as a table, header first: what, with ideal kernels, with the metasurface.

    A run of the strategy end-to-end has a column for its kernels-first start as well.
    """
    results = optics.results
    metric = next((key[6:] for key in results if key.startswith("ideal_")), "accuracy")
    first = results.get("strategy") == "end-to-end"
    header = (
        "",
        "ideal kernels",
        *(("kernels first", "end to end") if first else ("metasurface",)),
    )
    rows: list[tuple[str, ...]] = [header]

    def add(what: str, key: str, share: bool = True, part: int | None = None) -> None:
        stages = ["kernels_first_", ""] if first else [""]
        found = [results.get(stage + key) for stage in stages]
        if part is not None:
            found = [None if value is None else value[part] for value in found]
        ideal = results.get(f"ideal_{key}") if part is None else None
        rows.append((what, *(_show(value, share) for value in (ideal, *found))))

    add(f"test {metric}", metric)
    add(f"test {metric} with the camera's noise", f"camera_{metric}")
    add(f"test {metric} with the neighbours' light", f"crosstalk_{metric}")
    add("kernel error, mean over kernels", "kernel_error")
    add("kernel error, worst kernel", "kernel_error_worst")
    for branch, resolution in enumerate(_name_resolutions(optics)):
        add(f"kernel error at {resolution} resolution", "kernel_error_by_branch", part=branch)
    for colour, name in enumerate(_name_colours(optics)):
        if name:  # of one colour alone it is the mean above
            add(f"kernel error{name}", "kernel_error_by_colour", part=colour)
    for colour, name in enumerate(_name_colours(optics)):
        add(f"root D{name}", "psf_residual", share=False, part=colour)
    add("loss of the authors", "authors_loss", share=False)
    add("efficiency", "efficiency")
    add("cross-talk, mean over sub-optics", "crosstalk")
    add("cross-talk, worst sub-optic", "crosstalk_worst")
    return rows


def _draw_row(
    figure: Figure, grid: GridSpec, row: int, optics: SimulatedOptics, place: int, colour: int
) -> None:
    kernel = optics.shown[place]
    size = optics.sizes[kernel]
    wanted, got = (parts[kernel, :, colour] for parts in (optics.target, optics.psf))
    light = optics.light[place, :, colour]
    norm = zero_white(wanted, got)
    panels = []
    for part, sign in enumerate((1, -1)):
        brightest = float(np.percentile(light[part], BRIGHTEST)) or 1.0
        panels += [(sign * wanted[part], norm), (sign * got[part], norm)]
        panels.append((sign * light[part], zero_white(np.array(brightest))))
    signed = [resize(parts[0] - parts[1], size) for parts in (wanted, got)]
    panels += [(kernel_, zero_white(*signed)) for kernel_ in signed]
    margin = 0.5 - size / wanted.shape[-1] / 2
    for column, (picture, scale) in enumerate(panels):
        axes = framed(figure.add_subplot(grid[row, column + (column > 2) + (column > 5)]))
        look = {"cmap": diverging(), "norm": scale, "interpolation": "none"}
        axes.imshow(picture, extent=(0, 1, 0, 1), **look)
        if margin > 0 and column < 6:
            _frame_kernel(axes, margin)
        if row == 0:
            axes.set_title(COLUMNS[column], fontsize=9, fontweight="normal", loc="center", pad=4)
            for first, name in GROUPS:
                if column == first:
                    axes.annotate(
                        name, (0, 1), (0, 19), xycoords="axes fraction", fontweight="bold",
                        textcoords="offset points", ha="left", va="bottom",
                    )  # fmt: skip
        if column == 0:
            name = f"kernel {kernel}\n{optics.wavelengths_nm[colour]:g} nm"
            if _name_resolutions(optics):
                side = optics.binnings[kernel]
                name += f"\nbinned {side}×{side}"
            axes.set_ylabel(name, fontsize=9)


def _frame_kernel(axes: Any, margin: float) -> None:
    from matplotlib.patches import Rectangle

    side = 1 - 2 * margin
    look = {"fill": False, "edgecolor": "#60666d", "linewidth": 0.7, "linestyle": (0, (3, 2))}
    axes.add_patch(Rectangle((margin, margin), side, side, **look))


def _name_colours(optics: SimulatedOptics) -> list[str]:
    if len(optics.wavelengths_nm) == 1:
        return [""]
    return [f" at {wavelength:g} nm" for wavelength in optics.wavelengths_nm]


def _name_resolutions(optics: SimulatedOptics) -> list[str]:
    """Of the branches, from fine to coarse; none where all kernels have one resolution."""
    binnings = dict.fromkeys(optics.binnings.tolist())
    if len(binnings) == 1:
        return []
    return ["full" if binning == 1 else f"1/{binning}" for binning in binnings]


def _show(value: Any, share: bool) -> str:
    if value is None:
        return "–"
    return f"{100 * value:.2f} %" if share else f"{value:.3f}"


def resize(pictures: np.ndarray, size: int) -> np.ndarray:
    """Darkness around small pictures, the middle of large ones."""
    more = size - pictures.shape[-1]
    if more > 0:
        ends = (more // 2, more - more // 2)
        return np.pad(pictures, [(0, 0)] * (pictures.ndim - 2) + [ends, ends])
    first = -more // 2
    return pictures[..., first : first + size, first : first + size]


def _read_wavelengths(folder: Path, colours: int) -> tuple[float, ...]:
    wavelengths_m = read_spec(folder / "spec.yaml").optics.wavelengths_m(colours)
    return tuple(wavelength * 1e9 for wavelength in wavelengths_m)
