"""The designed pillars: their widths and phases, what they are made of, and the numbers of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hybridonn.core.errors import ArtefactError, OpticsError
from hybridonn.reports.artefacts.reading import read_arrays, refusal
from hybridonn.reports.figures.style import WIDTH_IN, framed, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

STAGE = "the metasurface stage"
MOST_CELLS = 400  # along a side of a map: more than the page has dots for
CLOSE_CELLS = 24  # along a side of the enlarged middle: squares that an eye can tell apart


@dataclass(frozen=True)
class WidthMaps:
    """The pillars of one kernel's two sub-optics, as one looks through them at the scene.

    Attributes:
        kernel: Which kernel.
        widths_nm: Widths of positive and negative part, (2, cells, cells); 0: no pillar.
        phases: Phases in units of 2 pi, in [0, 1), (C, 2, cells, cells).
        wavelengths_nm: Wavelengths of the C colours.
        cell_um: Side of a cell of equal pillars.
    """

    kernel: int
    widths_nm: np.ndarray
    phases: np.ndarray
    wavelengths_nm: tuple[float, ...]
    cell_um: float


def read_width_maps(folder: Path, kernel: int = 0) -> WidthMaps | None:
    """Read the widths of a kernel's pillars and look up their phases.

    Args:
        folder: The run.
        kernel: Which kernel.

    Returns:
        None: a stage of an earlier version kept no library to look phases up in.

    Raises:
        ArtefactError: A file is missing, damaged, or contradicts the other one.
    """
    import torch

    from hybridonn.optics.meta_atoms.pillars import NM, PillarLibrary, transmit

    stage = folder / "metasurface"
    path, table = stage / "widths.npz", stage / "library.csv"
    if not table.is_file():
        return None
    arrays = read_arrays(path, STAGE, {"widths": 4})
    pillars = np.asarray(arrays.get("cell_pillars", 1))
    if len(arrays["widths"]) <= kernel or arrays["widths"].shape[1] != 2:
        found = f"widths {arrays['widths'].shape} are not those of two parts of kernel {kernel}"
        raise ArtefactError(refusal(path, STAGE, found))
    if pillars.shape or pillars.dtype.kind not in "iu" or pillars < 1:
        raise ArtefactError(refusal(path, STAGE, f"cell_pillars is {str(pillars)[:40]}"))
    widths_nm = arrays["widths"][kernel]
    try:
        library = PillarLibrary.read_csv(table)
        sent = transmit(library, torch.from_numpy(widths_nm.astype(np.float64)) * NM)
    except OpticsError as error:
        raise ArtefactError(refusal(table, STAGE, str(error))) from None
    phases = (torch.angle(sent) / (2 * np.pi)).remainder(1).numpy()
    cell_um = library.period_m * int(pillars) * 1e6
    wavelengths_nm = tuple((library.wavelengths_m / NM).tolist())
    return WidthMaps(kernel, widths_nm, phases, wavelengths_nm, cell_um)


@styled
def draw_width_maps(maps: WidthMaps) -> Figure:
    """Draw widths and phases of both parts: the whole sub-optics, and their middle enlarged."""
    from matplotlib.figure import Figure

    names = [f"phase at {wavelength:g} nm" for wavelength in maps.wavelengths_nm]
    titles = ["width", *names, "width, middle", f"{names[0]}, middle"]
    cell = WIDTH_IN / (len(titles) + 0.7)
    figure = Figure(figsize=(WIDTH_IN, 2 * cell + 1.3), layout="constrained")
    rows = figure.subplots(2, len(titles), squeeze=False)
    shown: list[AxesImage] = []
    step = count_step(maps)
    for part, sign in enumerate("+−"):
        pictures = [maps.widths_nm[part], *maps.phases[:, part]]
        # Cells at even distances: means of neighbours would show widths that nothing has.
        whole = [picture[::step, ::step] for picture in pictures]
        close = [_enlarge(picture) for picture in pictures[:2]]
        shown = [
            _draw_map(axes, picture, maps.widths_nm)
            for axes, picture in zip(rows[part], [*whole, *close], strict=True)
        ]
        rows[part, 0].set_ylabel(f"kernel {maps.kernel}{sign}")
    for axes, title in zip(rows[0], titles, strict=True):
        axes.set_title(title.replace(", ", "\n"), fontsize=9, fontweight="normal", loc="center")
    cells = maps.widths_nm.shape[-1]
    sides = [cells] * (len(titles) - 2) + [min(CLOSE_CELLS, cells)] * 2
    for axes, side in zip(rows[1], sides, strict=True):
        axes.set_xlabel(f"{side:,} cells, {side * maps.cell_um:.4g} µm", fontsize=8.5)
    look = {"location": "bottom", "aspect": 30, "pad": 0.03}
    middle = (len(titles) + 1) // 2
    bar = figure.colorbar(shown[0], ax=list(rows[:, :middle].ravel()), shrink=0.7, **look)
    bar.set_label("width (nm)")
    bar = figure.colorbar(shown[1], ax=list(rows[:, middle:].ravel()), shrink=0.7, **look)
    bar.set_label("phase (2π)")
    return figure


def describe_pillars(numbers: dict[str, Any], wavelengths_nm: Sequence[float]) -> str:
    """What a metasurface is made of, in words.

    Args:
        numbers: The numbers of the stage ``metasurface``; those of an earlier version lack some.
        wavelengths_nm: Of the design.
    """
    light = f"designed for {_list(wavelengths_nm)} nm"
    if "height_nm" not in numbers:
        return f"pillars {light}"
    return (
        f"pillars of {name_material(numbers['material'])} on "
        f"{name_material(numbers['substrate'])}, {numbers['height_nm']:g} nm high and "
        f"{numbers['narrowest_nm']:g} to {numbers['widest_nm']:g} nm wide, one every "
        f"{numbers['period_nm']:g} nm, {light}, numerical aperture (NA) "
        f"{numbers['numerical_aperture']:.3g}"
    )


def list_pillar_numbers(
    numbers: dict[str, Any], wavelengths_nm: Sequence[float]
) -> list[tuple[str, ...]]:
    """What the chip is made of, as a table, header first; empty for an earlier version's stage."""
    if "height_nm" not in numbers:
        return []
    narrowest, widest = numbers["narrowest_nm"], numbers["widest_nm"]
    return [
        ("", "value"),
        ("pillars", name_material(numbers["material"])),
        ("substrate", name_material(numbers["substrate"])),
        ("height of the pillars", f"{numbers['height_nm']:g} nm"),
        ("width of the pillars", f"{narrowest:g} to {widest:g} nm"),
        ("period of the pillars", f"{numbers['period_nm']:g} nm"),
        ("cell of equal pillars", f"{numbers['cell_nm']:g} nm"),
        ("sub-optics", f"{numbers['sub_optics']:,}"),
        ("side of a sub-optic", f"{numbers['aperture_mm']:.4g} mm, {numbers['cells']:,} cells"),
        ("metasurface to sensor", f"{numbers['distance_mm']:g} mm"),
        ("numerical aperture (NA)", f"{numbers['numerical_aperture']:.3f}"),
        ("wavelengths", f"{_list(wavelengths_nm)} nm"),
    ]


def name_material(text: str) -> str:
    """A material for the eye: ``Si3N4/Beliaev`` is Si3N4 with the index that Beliaev measured."""
    if not text:
        return "a material that the library does not name"
    formula, _, source = text.partition("/")
    return f"{formula} ({source})" if source else formula


def count_step(maps: WidthMaps) -> int:
    """Distance of the cells that a map shows, along a side; 1: it shows all of them."""
    return -(-maps.widths_nm.shape[-1] // MOST_CELLS)


def _draw_map(axes: Axes, picture: np.ndarray, widths_nm: np.ndarray) -> AxesImage:
    look: dict[str, Any] = {"cmap": "twilight", "vmin": 0, "vmax": 1}
    if picture.dtype.kind == "u":
        look = {"cmap": "viridis", "vmin": widths_nm.min(), "vmax": widths_nm.max()}
    return framed(axes).imshow(picture, interpolation="nearest", **look)


def _enlarge(picture: np.ndarray) -> np.ndarray:
    side = min(CLOSE_CELLS, picture.shape[-1])
    first = (picture.shape[-1] - side) // 2
    return picture[first : first + side, first : first + side]


def _list(wavelengths_nm: Sequence[float]) -> str:
    return ", ".join(f"{wavelength:g}" for wavelength in wavelengths_nm)
