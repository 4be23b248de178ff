"""Whether a lattice of pillars diffracts: then its straight light is not all that there is.

Behind a square lattice of period p, light of wavelength lambda leaves at the transverse sines
``s + (a, b) lambda / p`` for whole a and b, s that of the straight order; an order travels in a
medium of index n where it is below n (Born and Wolf 1999, Principles of Optics, section 8.6.1).
A table of pillars holds the straight order alone.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from hybridonn.core.errors import OpticsError

NM = 1e-9
ROUNDING = 1e-9  # decimal lengths are not exact in binary
# Fused silica, of the usual substrates the one that lets a lattice be widest.
LEAST_INDEX = 1.45


class DiffractionWarning(UserWarning):
    """Light that a lattice of pillars sends where its table does not follow it."""


@dataclass(frozen=True)
class Orders:
    """What a lattice sends into a medium beside the straight order.

    Attributes:
        count: Orders that travel.
        degrees: Angle of the order that runs nearest to the axis; nan where there is none.
    """

    count: int
    degrees: float


def list_orders(period_m: float, wavelength_m: float, index: float, sine: float = 0.0) -> Orders:
    """The orders beside the straight one that travel.

    Args:
        period_m: Period of the square lattice, in metres.
        wavelength_m: Wavelength in vacuum, in metres.
        index: Refractive index of the medium.
        sine: ``n sin(theta)`` of the straight order, along one axis of the lattice.
    """
    step = wavelength_m / period_m
    last = math.floor((index + abs(sine)) / step) + 1
    radii = [
        math.hypot(sine + a * step, b * step)
        for a in range(-last, last + 1)
        for b in range(-last, last + 1)
        if (a, b) != (0, 0)
    ]
    travelling = [radius for radius in radii if radius < index * (1 - ROUNDING)]
    nearest = math.degrees(math.asin(min(travelling) / index)) if travelling else math.nan
    return Orders(len(travelling), nearest)


def check_orders(
    period_m: float, wavelengths_m: Sequence[float], substrate_index: float | None
) -> None:
    """Refuse a lattice that diffracts into the air, warn of one that does in its substrate.

    Args:
        period_m: Period of the square lattice, in metres.
        wavelengths_m: Wavelengths in vacuum, in metres.
        substrate_index: Highest refractive index of the substrate; None: not known, fused silica
            is taken.

    Raises:
        OpticsError: Orders beside the straight one reach the sensor.
    """
    shortest_m = min(wavelengths_m)
    in_air = list_orders(period_m, shortest_m, 1.0)
    if in_air.count:
        raise OpticsError(
            f"pillars every {period_m / NM:.6g} nm send {in_air.count} orders beside the straight "
            f"one into the air at {shortest_m / NM:.6g} nm (the first at {in_air.degrees:.3g} "
            "degrees), and a table of pillars holds the straight one alone: use a period below "
            f"{shortest_m / NM:.6g} nm, or wavelengths above {period_m / NM:.6g} nm"
        )
    index = substrate_index or LEAST_INDEX
    found = {w: list_orders(period_m, w, index) for w in wavelengths_m}
    diffracting = [w for w in sorted(found) if found[w].count]
    if not diffracting:
        return
    told = "" if substrate_index else " (fused silica is assumed: state '# substrate_index: VALUE')"
    worst = diffracting[0]
    warnings.warn(
        f"pillars every {period_m / NM:.6g} nm send {found[worst].count} orders beside the "
        f"straight one into a substrate of index {index:.4g}{told} at {_list(diffracting)} nm (the "
        f"first at {found[worst].degrees:.3g} degrees): their light is missing in the table, and "
        "pillars whose neighbours differ do not act as it says; use a period below "
        f"{worst / index / NM:.4g} nm, or wavelengths above {period_m * index / NM:.4g} nm",
        DiffractionWarning,
        stacklevel=3,
    )


def check_steep_orders(period_m: float, wavelengths_m: Sequence[float], sine: float) -> None:
    """Warn of light so steep that the lattice sends an order of it into the air as well.

    Args:
        period_m: Period of the square lattice, in metres.
        wavelengths_m: Wavelengths in vacuum, in metres.
        sine: Sine of the steepest angle at which the design sends light to the sensor.
    """
    shortest_m = min(wavelengths_m)
    orders = list_orders(period_m, shortest_m, 1.0, sine)
    if orders.count:
        warnings.warn(
            f"light of {shortest_m / NM:.6g} nm leaves the metasurface with a sine of up to "
            f"{sine:.3g}, where pillars every {period_m / NM:.6g} nm send {orders.count} more "
            f"orders into the air (at {orders.degrees:.3g} degrees), which the simulation leaves "
            f"out: use a period below {shortest_m / (1 + sine) / NM:.4g} nm, a longer distance to "
            "the sensor or a smaller sub-optic",
            DiffractionWarning,
            stacklevel=2,
        )


def _list(wavelengths_m: Sequence[float]) -> str:
    return ", ".join(f"{length / NM:.6g}" for length in wavelengths_m)
