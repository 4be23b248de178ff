"""Computes libraries of pillars by rigorous coupled-wave analysis, point by point.

Light comes straight up through the substrate; the pillars stand in air above it. While only the
zero order propagates in both media, light from the other side is transmitted with the same
amplitude and phase (reciprocity), so the library serves both.
"""

from __future__ import annotations

import cmath
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from math import pi, sqrt
from pathlib import Path

import torch

from hybridonn.errors import OpticsError
from hybridonn.optics.journal import Journal
from hybridonn.optics.materials import Material
from hybridonn.optics.pillars import NM, PillarLibrary
from hybridonn.progress import Progress, Silent

Solver = Callable[[float, float, float, float, complex, complex, int], tuple[complex, complex]]
# With more, one point takes longer than minutes and gigabytes on a desktop.
MOST_HARMONICS = 20


@dataclass(frozen=True)
class PillarCell:
    """The unit cell of a lattice of square pillars in air.

    Attributes:
        period_m: Of the square lattice.
        height_m: Of the pillars.
        pillar: Their material.
        substrate: What they stand on.
        minimum_gap_m: Clear distance that the fab can etch between neighbouring pillars.
    """

    period_m: float
    height_m: float
    pillar: Material
    substrate: Material
    minimum_gap_m: float = 50e-9


@dataclass(frozen=True)
class Point:
    """One pillar at one wavelength.

    Attributes:
        width_m: Of the pillar.
        wavelength_m: In vacuum.
        harmonics: Highest Fourier harmonic in each direction.
        transmission: Complex amplitude by the conventions of :mod:`hybridonn.optics.pillars`.
        lost: Power that is neither in the transmitted nor in the reflected zero order:
            absorbed or diffracted.
    """

    width_m: float
    wavelength_m: float
    harmonics: int
    transmission: complex
    lost: float


def load_solver() -> Solver:
    """The solver meent, which the extra ``rcwa`` installs.

    Raises:
        OpticsError: It is not installed.
    """
    try:
        from hybridonn.optics.meent_modes import transmit_meent
    except ImportError:
        raise OpticsError(
            "a library of pillars is computed by the solver meent, which is not installed; "
            "install it with: pip install 'hybridonn[rcwa]'"
        ) from None
    return transmit_meent


def compute_point(
    cell: PillarCell, width_m: float, wavelength_m: float, harmonics: int, solver: Solver
) -> Point:
    """Transmission of one pillar at one wavelength.

    The field ratio t of the solver becomes ``t sqrt(Re 1 / n) exp(-i k0 h)``: its square is
    the transmitted power, its phase is counted from an empty cell of the same height.

    Raises:
        OpticsError: A wavelength outside a material's table.
    """
    pillar, substrate = (m.index(wavelength_m) for m in (cell.pillar, cell.substrate))
    t, r = solver(
        width_m / NM,
        cell.period_m / NM,
        cell.height_m / NM,
        wavelength_m / NM,
        pillar,
        substrate,
        harmonics,
    )
    amplitude = t / sqrt(substrate.real) * cmath.exp(-2j * pi * cell.height_m / wavelength_m)
    lost = 1 - abs(amplitude) ** 2 - abs(r) ** 2
    return Point(width_m, wavelength_m, harmonics, amplitude, lost)


def compute_library(
    cell: PillarCell,
    widths_m: Sequence[float],
    wavelengths_m: Sequence[float],
    harmonics: int,
    journal: Path,
    *,
    progress: Progress | None = None,
) -> PillarLibrary:
    """Compute every width at every wavelength; nothing is interpolated.

    Args:
        cell: Geometry and materials.
        widths_m: Ascending; 0 is no pillar.
        wavelengths_m: In vacuum.
        harmonics: Highest Fourier harmonic in each direction.
        journal: Where finished points are kept, so that an interrupted computation goes on;
            removed by the caller once the library is written.
        progress: Where to show how far it is.

    Raises:
        OpticsError: Geometry that cannot be made, a wavelength outside a table, or the solver
            is not installed.
    """
    _refuse(cell, widths_m, wavelengths_m, harmonics)
    wanted = [(width, wavelength, harmonics) for wavelength in wavelengths_m for width in widths_m]
    points = _compute_points("pillars", cell, wanted, journal, progress or Silent())
    values = torch.tensor([point.transmission for point in points], dtype=torch.complex128)
    orders = 2 * harmonics + 1
    return PillarLibrary(
        torch.tensor(wavelengths_m, dtype=torch.float64),
        torch.tensor(widths_m, dtype=torch.float64),
        values.view(len(wavelengths_m), len(widths_m)),
        cell.period_m,
        cell.height_m,
        cell.pillar.name,
        cell.substrate.name,
        f"rigorous coupled-wave analysis, meent {version('meent')}, {orders} x {orders} harmonics",
    )


def compute_convergence(
    cell: PillarCell,
    widths_m: Sequence[float],
    wavelengths_m: Sequence[float],
    harmonics: Sequence[int],
    journal: Path,
    *,
    progress: Progress | None = None,
) -> list[dict[str, float]]:
    """The same points at rising numbers of harmonics, each against the highest.

    Returns:
        A row a point: width_nm, wavelength_nm, harmonics, amplitude, phase_rad, the change
        of both to the highest number of harmonics, and lost_power.

    Raises:
        OpticsError: As :func:`compute_library`.
    """
    for number in harmonics:
        _refuse(cell, widths_m, wavelengths_m, number)
    pairs = [(width, wavelength) for wavelength in wavelengths_m for width in widths_m]
    wanted = [(*pair, number) for pair in pairs for number in sorted(harmonics)]
    points = _compute_points("convergence", cell, wanted, journal, progress or Silent())
    rows = []
    for first in range(0, len(points), len(harmonics)):
        series = points[first : first + len(harmonics)]
        rows += [_compare(point, series[-1]) for point in series]
    return rows


def _compare(point: Point, best: Point) -> dict[str, float]:
    ratio = point.transmission * best.transmission.conjugate()
    return {
        "width_nm": round(point.width_m / NM, 6),
        "wavelength_nm": round(point.wavelength_m / NM, 6),
        "harmonics": point.harmonics,
        "amplitude": round(abs(point.transmission), 6),
        "phase_rad": round(cmath.phase(point.transmission), 6),
        "amplitude_change": round(abs(point.transmission) - abs(best.transmission), 6),
        "phase_change_rad": round(cmath.phase(ratio), 6),
        "lost_power": round(point.lost, 9),
    }


def _compute_points(
    label: str,
    cell: PillarCell,
    wanted: Iterable[tuple[float, float, int]],
    journal_file: Path,
    progress: Progress,
) -> list[Point]:
    solve = load_solver()
    wanted = list(wanted)
    indices = [
        (str(cell.pillar.index(w)), str(cell.substrate.index(w)))
        for w in sorted({p[1] for p in wanted})
    ]
    settings = [version("meent"), cell.period_m, cell.height_m, *indices]
    points = []
    with (
        Journal(journal_file, settings) as journal,
        progress.bar(label, len(wanted)) as advance,
    ):
        for width, wavelength, harmonics in wanted:
            key = f"{width:.6e} {wavelength:.6e} {harmonics}"
            if (kept := journal.get(key)) is None:
                point = compute_point(cell, width, wavelength, harmonics, solve)
                kept = [point.transmission.real, point.transmission.imag, point.lost]
                journal.add(key, kept)
            points.append(Point(width, wavelength, harmonics, complex(*kept[:2]), kept[2]))
            advance(1, f"{width / NM:g} nm at {wavelength / NM:g} nm")
    return points


def _refuse(
    cell: PillarCell, widths_m: Sequence[float], wavelengths_m: Sequence[float], harmonics: int
) -> None:
    """Say before the long computation what would make its library unfit.

    Raises:
        OpticsError: With the numbers.
    """
    if not 1 <= harmonics <= MOST_HARMONICS:
        raise OpticsError(f"{harmonics} harmonics; allowed are 1 to {MOST_HARMONICS} a direction")
    blank = torch.zeros(len(wavelengths_m), len(widths_m))
    wavelengths, widths = (
        torch.tensor(lengths, dtype=torch.float64) for lengths in (wavelengths_m, widths_m)
    )
    PillarLibrary(wavelengths, widths, blank, cell.period_m, cell.height_m)  # checks the lengths
    gap = cell.period_m - max(widths_m)
    if gap < cell.minimum_gap_m * (1 - 1e-9):
        raise OpticsError(
            f"pillars {max(widths_m) / NM:.6g} nm wide every {cell.period_m / NM:.6g} nm leave "
            f"gaps of {gap / NM:.6g} nm; at least {cell.minimum_gap_m / NM:.6g} nm are asked for: "
            f"make them at most {(cell.period_m - cell.minimum_gap_m) / NM:.6g} nm wide"
        )
