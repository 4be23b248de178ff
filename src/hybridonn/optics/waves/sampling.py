"""Whether a grid can carry light to a plane, and the cure where it cannot.

A wave at the angle theta has the frequency ``n sin(theta) / lambda``. Four rules:

1. The pitch holds frequencies up to ``1 / (2 pitch)`` (Nyquist): steeper light aliases.
2. The padded window of side L holds light that runs at most L / 2 sideways; the
   transfer function of steeper light aliases, or the band limit leaves it out
   (Matsushima and Shimobaba 2009, Optics Express 17, 19662, equation 13).
3. Padding narrower than the light's spread lets it come in again on the other side.
4. Frequencies beyond ``n / lambda`` are evanescent: they decay within a wavelength.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hybridonn.core.errors import SamplingError
from hybridonn.optics.waves.kernels import check_lengths

# Power beyond the frequency that is taken for a field's steepest: it moves an image by less than
# the 1e-3 to which the closed forms are held.
STRAY_POWER = 1e-3
# Of a field that its grid can carry: power in the outermost tenth of the frequencies, above which
# the field has probably more beyond. A white spectrum, without any sampling, has 0.19 there.
EDGE, EDGE_POWER = 0.9, 0.05
ROUNDING = 1e-9  # decimal lengths are not exact in binary


class SamplingWarning(UserWarning):
    """Light that a grid loses, or a law that is inexact, where the rest of the image is right."""


def carried_sine(pitch_m: float, wavelength_m: float) -> float:
    """Sine of the steepest light that a pitch carries: neighbours differ by half a turn."""
    return wavelength_m / (2 * pitch_m)


@dataclass(frozen=True)
class SamplingReport:
    """What a grid does to light; sines of angles in the medium, along one axis.

    Attributes:
        carried_sine: Steepest light that the pitch carries, at the shortest wavelength.
        kept_sine: Steepest light that the padded window keeps.
        needed_sine: Steepest light that there is; above 1 it is evanescent.
        spread_m: How far the steepest light that travels runs sideways.
        darkness_m: How much padding lies between the window and its next copy.
        edge_power: Part of the field's power in the outermost tenth of the
            frequencies; None: no field was given.
    """

    carried_sine: float
    kept_sine: float
    needed_sine: float
    spread_m: float
    darkness_m: float
    edge_power: float | None


def check_sampling(
    shape: tuple[int, int],
    pitch_m: float,
    wavelengths_m: Sequence[float],
    distance_m: float,
    *,
    padding: int = 2,
    index: float = 1.0,
    band_limited: bool = True,
    numerical_aperture: float | None = None,
    field: Tensor | None = None,
) -> SamplingReport:
    """Check a grid before, or with, the light that it is to carry.

    What gives a wrong image raises; what only loses light warns. Without an aperture
    and without a field, the light may be as steep as the pitch carries it.

    Args:
        shape: Samples of the fields, (H, W).
        pitch_m: Distance from sample to sample, in metres.
        wavelengths_m: Wavelengths in vacuum, in metres.
        distance_m: Distance of the propagation, in metres.
        padding: Size of the window in fields, as in
            :class:`~hybridonn.optics.waves.propagation.Propagator`.
        index: Refractive index of the medium.
        band_limited: Frequencies that the window cannot sample are left out.
        numerical_aperture: ``n sin(theta)`` of the steepest ray of the light.
        field: (..., H, W) complex: the light itself, whose spectrum is measured.

    Returns:
        The numbers behind the verdict.

    Raises:
        SamplingError: The image would be wrong: light aliases or wraps round.
    """
    check_lengths(pitch_m, wavelengths_m, distance_m, index)
    shortest_m, longest_m = min(wavelengths_m) / index, max(wavelengths_m) / index
    nyquist = 1 / (2 * pitch_m)
    steepest, edge_power = nyquist, None
    if field is not None:
        steepest, edge_power = measure_band(field, pitch_m)
    needed = steepest * longest_m if numerical_aperture is None else numerical_aperture / index
    side_m = min(shape) * pitch_m
    report = SamplingReport(
        carried_sine=carried_sine(pitch_m, shortest_m),
        kept_sine=_sine(padding * side_m / 2, distance_m),
        needed_sine=needed,
        spread_m=_spread(min(needed, 1.0), distance_m),
        darkness_m=(padding - 1) * side_m,
        edge_power=edge_power,
    )
    if numerical_aperture is not None:
        _check_pitch(report, pitch_m, shortest_m, numerical_aperture)
    _check_window(report, side_m, distance_m, band_limited)
    known = numerical_aperture is not None or field is not None
    _warn_of_lost_light(report, side_m, distance_m, longest_m, known)
    return report


@torch.no_grad()
def measure_band(field: Tensor, pitch_m: float) -> tuple[float, float]:
    """How far the spectrum of a field reaches along either axis.

    Args:
        field: (..., H, W) complex, not dark everywhere.
        pitch_m: Distance from sample to sample, in metres.

    Returns:
        The frequency in 1/m within which all but a thousandth of the power lies, and the
        part of the power in the outermost tenth of the frequencies.

    Raises:
        SamplingError: The field is dark or not finite.
    """
    power = torch.fft.fft2(field.to(torch.complex128)).abs().square()
    total = float(power.sum())
    if not (math.isfinite(total) and total > 0):
        raise SamplingError(f"the power of the field is {total:g}; it must be positive and finite")
    fy, fx = (
        torch.fft.fftfreq(n, pitch_m, dtype=power.dtype, device=power.device).abs()
        for n in field.shape[-2:]
    )
    reach = torch.maximum(fy[:, None], fx[None]).expand(power.shape).flatten()
    order = reach.argsort()
    inside = power.flatten()[order].cumsum(0) / total
    last = min(int(torch.searchsorted(inside, 1 - STRAY_POWER)), len(order) - 1)
    edge = float(power.flatten()[reach > EDGE / (2 * pitch_m)].sum()) / total
    return float(reach[order[last]]), edge


def _check_pitch(
    report: SamplingReport, pitch_m: float, shortest_m: float, aperture: float
) -> None:
    if report.needed_sine > report.carried_sine * (1 + ROUNDING):
        finest = shortest_m / (2 * report.needed_sine)
        raise SamplingError(
            f"light of numerical aperture {aperture:g} at {_nm(shortest_m)} in the medium needs a "
            f"pitch of at most {_nm(finest)}, found {_nm(pitch_m)}: it aliases; use a finer pitch"
        )


def _check_window(
    report: SamplingReport, side_m: float, distance_m: float, band_limited: bool
) -> None:
    travelling = min(report.needed_sine, 1.0)
    if not band_limited and travelling > report.kept_sine * (1 + ROUNDING):
        raise SamplingError(
            f"the transfer function over {_um(distance_m)} aliases for light of a sine above "
            f"{report.kept_sine:.3g}, found {travelling:.3g}; use band_limited=True, or "
            f"padding of at least {_padding(report, side_m)}"
        )
    spread_m = _spread(min(travelling, report.kept_sine), distance_m)
    if spread_m > report.darkness_m * (1 + ROUNDING) and report.darkness_m < side_m:
        raise SamplingError(
            f"light runs {_um(spread_m)} sideways over {_um(distance_m)}, but the padding is "
            f"{_um(report.darkness_m)} wide: it would come in again on the other side; "
            "use padding of at least 2"
        )


def _warn_of_lost_light(
    report: SamplingReport, side_m: float, distance_m: float, longest_m: float, known: bool
) -> None:
    # Light of which nothing is known may well leave the window, which is no fault; that half of
    # all it could be leaves it is worth a word.
    allowed = report.kept_sine * (1 if known else 2)
    if min(report.needed_sine, 1.0) > allowed * (1 + ROUNDING):
        _warn(
            f"the padded window keeps light up to a sine of {report.kept_sine:.3g} over "
            f"{_um(distance_m)}, found {min(report.needed_sine, 1.0):.3g}: steeper light is cut "
            f"off; use padding of at least {_padding(report, side_m)}, or a larger window"
        )
    if report.needed_sine > 1 + ROUNDING:
        near = ", which is not over yet at this distance" if abs(distance_m) < longest_m else ""
        _warn(
            f"details finer than half a wavelength ({_nm(longest_m / 2)} in the medium) are "
            f"evanescent, found details down to {_nm(longest_m / (2 * report.needed_sine))}: they "
            f"decay within a wavelength{near}; use a pitch of at least half a wavelength where "
            f"they are not meant (the plane is {_um(distance_m)} away)"
        )
    if report.edge_power is not None and report.edge_power > EDGE_POWER:
        _warn(
            f"{100 * report.edge_power:.0f} % of the field's power lies in the outermost tenth of "
            f"the frequencies that the pitch carries, allowed is {100 * EDGE_POWER:.0f} %: the "
            "field is probably undersampled; use a finer pitch"
        )


def _warn(message: str) -> None:
    warnings.warn(message, SamplingWarning, stacklevel=4)


def _sine(sideways_m: float, distance_m: float) -> float:
    return sideways_m / math.hypot(sideways_m, distance_m)


def _spread(sine: float, distance_m: float) -> float:
    """How far light at this angle runs sideways, in metres."""
    if distance_m == 0:
        return 0.0
    return abs(distance_m) * sine / math.sqrt(1 - sine**2) if sine < 1 else math.inf


def _padding(report: SamplingReport, side_m: float) -> str:
    """The padding whose half window is as wide as the light's spread."""
    if math.isinf(report.spread_m):
        return "any size (light runs along the plane)"
    return str(max(2, math.ceil(2 * report.spread_m / side_m - ROUNDING)))


def _um(length_m: float) -> str:
    return f"{length_m * 1e6:.4g} um"


def _nm(length_m: float) -> str:
    return f"{length_m * 1e9:.4g} nm"
