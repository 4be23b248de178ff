"""Which law carries light from plane to plane rightly: the sampling rules decide.

The angular spectrum is sampled up to a distance, the kernels of the Rayleigh-Sommerfeld and of
Fresnel's integral from a distance on; the two meet at ``L pitch / lambda``, L the window that
holds both planes (Voelz and Roggemann 2009, Applied Optics 48, 6132, section 2).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Literal, get_args

from hybridonn.core.errors import OpticsError, SamplingError
from hybridonn.optics.waves.kernels import check_lengths, number
from hybridonn.optics.waves.plane import Plane
from hybridonn.optics.waves.sampling import SamplingWarning, carried_sine

Method = Literal["angular spectrum", "Rayleigh-Sommerfeld", "Fresnel"]
# Largest error of the phase that the paraxial approximation may make, in radians.
PARAXIAL = 0.05
# Pairs of samples of planes of different pitches, up to which every pair may be summed: a second.
MOST_PAIRS = 2**22


@dataclass(frozen=True)
class Choice:
    """A method and why it is the one for two planes.

    Attributes:
        method: Name of the method.
        reason: One sentence with the numbers that decided.
    """

    method: Method
    reason: str


def choose_method(
    source: Plane, target: Plane, wavelength_m: float, distance_m: float, index: float = 1.0
) -> Choice:
    """The method whose sampling rule the planes keep.

    - Up to the distance ``L pitch / lambda``, L the padded window, the angular spectrum: its
      transfer function is sampled for all light that the pitch carries.
    - Beyond it Fresnel's integral, where the paraxial phase is wrong by ``pi r^4 / (4 lambda
      z^3) <= 0.05`` rad (Goodman 2005, Introduction to Fourier Optics, section 4.2.3).
    - Else the Rayleigh-Sommerfeld integral, which is exact: by transforms where both planes have
      one pitch, else pair by pair of samples, where these are at most 4 million.
    - Else the angular spectrum, whose band limit leaves out the steepest light.

    Args:
        source: Plane of the field.
        target: Plane where the light is wanted.
        wavelength_m: Wavelength in vacuum, in metres.
        distance_m: Distance of the planes, in metres.
        index: Refractive index between them.

    Raises:
        OpticsError: A length that cannot be.
    """
    check_lengths(source.pitch_m, (wavelength_m,), distance_m, index)
    pitch_m, z_m, wave_m = number(source.pitch_m), abs(distance_m), wavelength_m / index
    reach_m = min(window_samples(source, target)) * pitch_m * pitch_m / wave_m
    if z_m <= reach_m:
        return Choice(
            "angular spectrum",
            f"its transfer function is sampled up to {1e6 * reach_m:.4g} um, and the planes are "
            f"{1e6 * z_m:.4g} um apart",
        )
    beyond = f"beyond {1e6 * reach_m:.4g} um the angular spectrum is not sampled"
    error = paraxial_error(source, target, wave_m, z_m)
    if error <= PARAXIAL and _finest_pitch("Fresnel", source, target, wave_m, z_m) > pitch_m:
        return Choice(
            "Fresnel", f"{beyond}, and the paraxial phase is wrong by {error:.2g} rad at most"
        )
    wrong = f"the paraxial phase would be wrong by {error:.2g} rad, allowed are {PARAXIAL:g}"
    if _finest_pitch("Rayleigh-Sommerfeld", source, target, wave_m, z_m) <= pitch_m:
        wrong = f"the other kernels are not sampled by a pitch of {1e9 * pitch_m:.4g} nm"
    elif source.shares_grid(target) or _count_pairs(source, target) <= MOST_PAIRS:
        return Choice("Rayleigh-Sommerfeld", f"{beyond}, and {wrong}")
    else:
        wrong += f", and {_count_pairs(source, target):,} pairs of samples are too many to sum"
    return Choice(
        "angular spectrum",
        f"{wrong}; light steeper than its window samples over {1e6 * z_m:.4g} um is left out",
    )


def check_method(
    method: Method, source: Plane, target: Plane, wave_m: float, distance_m: float
) -> None:
    """Hold a method that was asked for against its sampling rule.

    Args:
        method: Name of the method.
        source: Plane of the field.
        target: Plane where the light is wanted.
        wave_m: Wavelength in the medium, in metres.
        distance_m: Distance of the planes, in metres.

    Raises:
        OpticsError: There is no such method, or the distance is 0, where the kernels of both
            integrals are points.
        SamplingError: The kernel is not sampled, so that light would land at wrong places.
    """
    if method not in get_args(Method):
        raise OpticsError(f"method is {method!r}; allowed are {', '.join(get_args(Method))}")
    if method == "angular spectrum":
        return
    if distance_m == 0:
        raise OpticsError(
            f"the {method} integral needs a distance other than 0; use the angular spectrum"
        )
    pitch_m, z_m = number(source.pitch_m), abs(distance_m)
    finest_m = _finest_pitch(method, source, target, wave_m, z_m)
    if pitch_m >= finest_m:
        raise SamplingError(
            f"over {1e6 * z_m:.4g} um the kernel of the {method} integral needs a pitch of the "
            f"source below {1e9 * finest_m:.4g} nm, found {1e9 * pitch_m:.4g} nm: light would "
            "land at wrong places; use the angular spectrum, a finer pitch or smaller planes"
        )
    error = paraxial_error(source, target, wave_m, z_m) if method == "Fresnel" else 0.0
    if error > PARAXIAL:
        warnings.warn(
            f"the paraxial phase of Fresnel's integral is wrong by up to {error:.2g} rad over "
            f"{1e6 * z_m:.4g} um, allowed are {PARAXIAL:g}; use the Rayleigh-Sommerfeld integral "
            "or the angular spectrum",
            SamplingWarning,
            stacklevel=3,
        )


def window_samples(source: Plane, target: Plane) -> list[int]:
    """Samples of the padded window, along y and x: it holds both planes, dark between copies."""
    pitch_m, target_m = number(source.pitch_m), number(target.pitch_m)
    sizes = zip(source.shape, target.shape, source.shift_m, target.shift_m, strict=True)
    return [
        max(2 * n, n + math.ceil((m * target_m + 2 * abs(number(t) - number(s))) / pitch_m))
        for n, m, s, t in sizes
    ]


def paraxial_error(source: Plane, target: Plane, wave_m: float, z_m: float) -> float:
    """Largest error of Fresnel's phase between two planes, in radians."""
    return math.pi * math.hypot(*source.farthest(target)) ** 4 / (4 * wave_m * z_m**3)


def _finest_pitch(method: Method, source: Plane, target: Plane, wave_m: float, z_m: float) -> float:
    """Pitch at which the steepest light of an integral's kernel turns by half a turn a sample."""
    farthest_m = max(source.farthest(target))
    if farthest_m == 0:
        return math.inf
    tangent = farthest_m / z_m
    return carried_sine(tangent if method == "Fresnel" else math.sin(math.atan(tangent)), wave_m)


def _count_pairs(source: Plane, target: Plane) -> int:
    return math.prod(source.shape) * math.prod(target.shape)
