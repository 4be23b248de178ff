"""Computes libraries of pillars by rigorous coupled-wave analysis, point by point.

Light comes straight up through the substrate; the pillars stand in air above it. While only the
zero order propagates in both media, light from the other side is transmitted with the same
amplitude and phase (reciprocity), so the library serves both.
"""

from __future__ import annotations

import cmath
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from math import isfinite, pi, sqrt
from pathlib import Path
from typing import Any

import torch

from hybridonn.core.errors import OpticsError
from hybridonn.core.journal import Journal
from hybridonn.core.progress import Progress, Silent
from hybridonn.optics.meta_atoms.diffraction import check_orders
from hybridonn.optics.meta_atoms.materials import Material
from hybridonn.optics.meta_atoms.pillars import NM, PillarLibrary
from hybridonn.optics.waves.sampling import SamplingWarning

Solver = Callable[[float, float, float, float, complex, complex, int], tuple[complex, complex]]
# With more, one point takes longer than minutes and gigabytes on a desktop.
MOST_HARMONICS = 20
MORE = 4  # harmonics with which a result is compared, beyond its own
CHECKED = 6  # widths whose convergence is recorded, spread over the library
# Change of a transmission: phases that are off by 0.1 rad cost a focus 1 % of its height
# (Marechal; Born and Wolf 1999, Principles of Optics, section 9.1.3).
UNSETTLED = 0.1


@dataclass(frozen=True)
class PillarCell:
    """The unit cell of a lattice of square pillars in air.

    Attributes:
        period_m: Period of the square lattice.
        height_m: Height of the pillars.
        pillar: Material of the pillars.
        substrate: Material that the pillars stand on.
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
        width_m: Width of the pillar.
        wavelength_m: Wavelength in vacuum, in metres.
        harmonics: Highest Fourier harmonic in each direction.
        transmission: Complex amplitude by the conventions of
            :mod:`hybridonn.optics.meta_atoms.pillars`.
        lost: Power that is neither in the transmitted nor in the reflected zero order:
            absorbed or diffracted.
    """

    width_m: float
    wavelength_m: float
    harmonics: int
    transmission: complex
    lost: float


@dataclass(frozen=True)
class Kept:
    """Where finished points are kept, and what they depend on beside width and harmonics.

    Attributes:
        cell: Geometry and materials.
        wavelengths_m: Wavelengths of the library, in metres.
        journal: File of the finished points.
    """

    cell: PillarCell
    wavelengths_m: tuple[float, ...]
    journal: Path

    def settings(self) -> list[Any]:
        """What the journal is begun anew for where it changes."""
        indices = [
            (str(self.cell.pillar.index(w)), str(self.cell.substrate.index(w)))
            for w in sorted(set(self.wavelengths_m))
        ]
        return [version("meent"), self.cell.period_m, self.cell.height_m, *indices]


def load_solver() -> Solver:
    """The solver meent, which the extra ``rcwa`` installs.

    Raises:
        OpticsError: It is not installed.
    """
    try:
        from hybridonn.optics.meta_atoms.meent_modes import transmit_meent
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
        wavelengths_m: Wavelengths in vacuum, in metres.
        harmonics: Highest Fourier harmonic in each direction.
        journal: Where finished points are kept, so that an interrupted computation goes on;
            removed by the caller once the library is written.
        progress: Where to show how far it is.

    Warns where the lattice diffracts into its substrate, and where so few harmonics leave the
    numbers unsettled.

    Raises:
        OpticsError: Geometry that cannot be made, a lattice that diffracts into the air, a
            wavelength outside a table, or the solver is not installed.
    """
    _refuse(cell, widths_m, wavelengths_m, harmonics)
    substrate_index = max(cell.substrate.index(w).real for w in wavelengths_m)
    check_orders(cell.period_m, wavelengths_m, substrate_index)
    wanted = [(width, wavelength, harmonics) for wavelength in wavelengths_m for width in widths_m]
    kept = Kept(cell, tuple(wavelengths_m), journal)
    points = _compute_points("pillars", kept, wanted, progress or Silent())
    values = torch.tensor([point.transmission for point in points], dtype=torch.complex128)
    orders = 2 * harmonics + 1
    _warn_unsettled(kept, widths_m, harmonics, progress or Silent())
    return PillarLibrary(
        torch.tensor(wavelengths_m, dtype=torch.float64),
        torch.tensor(widths_m, dtype=torch.float64),
        values.view(len(wavelengths_m), len(widths_m)),
        cell.period_m,
        cell.height_m,
        cell.pillar.name,
        cell.substrate.name,
        f"rigorous coupled-wave analysis, meent {version('meent')}, {orders} x {orders} harmonics",
        substrate_index,
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
    kept = Kept(cell, tuple(wavelengths_m), journal)
    points = _compute_points("convergence", kept, wanted, progress or Silent())
    rows = []
    for first in range(0, len(points), len(harmonics)):
        series = points[first : first + len(harmonics)]
        rows += [_compare(point, series[-1]) for point in series]
    return rows


def spread_widths(widths_m: Sequence[float], count: int) -> list[float]:
    """Widths of some pillars of a library, evenly spread from the narrowest to the widest."""
    pillars = [width for width in widths_m if width > 0]
    last = len(pillars) - 1
    return sorted({pillars[round(i * last / (count - 1))] for i in range(count)})


def _warn_unsettled(
    kept: Kept, widths_m: Sequence[float], harmonics: int, progress: Progress
) -> None:
    """Compare two pillars at the shortest wavelength with what more harmonics give."""
    more, wavelength_m = min(harmonics + MORE, MOST_HARMONICS), min(kept.wavelengths_m)
    spread = spread_widths(widths_m, CHECKED)
    checked = sorted({spread[len(spread) // 2], spread[-1]})
    wanted = [(width, wavelength_m, number) for width in checked for number in (harmonics, more)]
    points = _compute_points("more harmonics", kept, wanted, progress)
    for few, many in zip(points[::2], points[1::2], strict=True):
        change = abs(few.transmission - many.transmission)
        if change > UNSETTLED:
            warnings.warn(
                f"{harmonics} harmonics leave the transmission of a pillar of "
                f"{few.width_m / NM:.6g} nm at {wavelength_m / NM:.6g} nm unsettled: {more} change "
                f"it by {change:.2g}, allowed is {UNSETTLED:g}; ask for more harmonics",
                SamplingWarning,
                stacklevel=3,
            )


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
    label: str, kept: Kept, wanted: Iterable[tuple[float, float, int]], progress: Progress
) -> list[Point]:
    solve = load_solver()
    wanted = list(wanted)
    points = []
    with (
        Journal(kept.journal, kept.settings()) as journal,
        progress.bar(label, len(wanted)) as advance,
    ):
        for width, wavelength, harmonics in wanted:
            key = f"{width:.6e} {wavelength:.6e} {harmonics}"
            numbers = _read_numbers(journal.get(key))
            if numbers is None:
                point = compute_point(kept.cell, width, wavelength, harmonics, solve)
                numbers = [point.transmission.real, point.transmission.imag, point.lost]
                journal.add(key, numbers)
            points.append(Point(width, wavelength, harmonics, complex(*numbers[:2]), numbers[2]))
            advance(1, f"{width / NM:g} nm at {wavelength / NM:g} nm")
    return points


def _read_numbers(value: Any) -> list[float] | None:
    """Real and imaginary part and loss of a kept point; None where the journal is damaged."""
    if not (isinstance(value, list) and len(value) == 3):
        return None
    whole = all(isinstance(number, float | int) and isfinite(number) for number in value)
    return value if whole else None


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
    if not cell.minimum_gap_m >= 0:  # NaN is none as well
        raise OpticsError(
            f"gaps of at least {cell.minimum_gap_m / NM:g} nm are asked for; state 0 or more"
        )
    if gap < cell.minimum_gap_m * (1 - 1e-9):
        raise OpticsError(
            f"pillars {max(widths_m) / NM:.6g} nm wide every {cell.period_m / NM:.6g} nm leave "
            f"gaps of {gap / NM:.6g} nm; at least {cell.minimum_gap_m / NM:.6g} nm are asked for: "
            f"make them at most {(cell.period_m - cell.minimum_gap_m) / NM:.6g} nm wide"
        )
