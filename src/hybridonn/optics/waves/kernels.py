"""The laws of free space, each written once: what a distance does to light.

- Angular spectrum (Goodman 2005, Introduction to Fourier Optics, equation 3-74), with the band
  limit of Matsushima and Shimobaba 2009 (Optics Express 17, 19662, equations 11 to 20).
- First Rayleigh-Sommerfeld integral (Goodman 2005, equation 3-36).
- Fresnel's integral (Goodman 2005, equation 4-17).

Time goes as ``exp(-i omega t)``: light that runs forward gains phase. A path of a thousand
wavelengths has a phase whose seventh digit matters, so phases are computed in float64 and
reduced to one turn. A length is a number of metres, or a float64 tensor of no dimension through
which gradients flow; wavelengths are those in the medium.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real

import torch
from torch import Tensor

from hybridonn.core.errors import OpticsError

Length = float | Tensor


def number(length: Length) -> float:
    """The value of a length, without its gradient.

    Raises:
        OpticsError: It is no single number.
    """
    if isinstance(length, Tensor) and length.numel() == 1:
        return float(length.detach())
    if not isinstance(length, Real):
        raise OpticsError(
            f"a length is {length!r}; it must be one number of metres, or a tensor of one number"
        )
    return float(length)


def on_device(length: Length, device: torch.device | str | None) -> Length:
    """A length where the samples are that it is multiplied with; gradients flow through."""
    if not isinstance(length, Tensor):
        return length
    return length.to(device or length.device, torch.float64)


def sample_steps(samples: int, device: torch.device | str | None = None) -> Tensor:
    """Where the samples of a centred grid lie in units of its pitch, (samples,) float64."""
    return torch.arange(samples, dtype=torch.float64, device=device) - (samples - 1) / 2


def phase_factor(turns: Tensor) -> Tensor:
    """``exp(2 pi i turns)``, complex; whole turns are taken off first."""
    turns = torch.remainder(turns, 1.0)
    return torch.polar(torch.ones_like(turns), 2 * math.pi * turns)


def angular_spectrum(
    fy: Tensor, fx: Tensor, wavelength_m: Length, distance_m: Length, band_limited: bool = True
) -> Tensor:
    """What each plane wave gains: ``exp(2 pi i z sqrt(1 / lambda^2 - fx^2 - fy^2))``.

    Beyond ``1 / lambda`` the root is imaginary and the wave is evanescent: it decays both ways,
    for what has decayed cannot be had back. A negative distance gives the conjugate.

    Args:
        fy: Frequencies along y in 1/m, (H, 1), float64, as a discrete transform orders them.
        fx: Frequencies along x in 1/m, (1, W).
        wavelength_m: Wavelength in the medium.
        distance_m: Distance of the planes.
        band_limited: Leave out what the window does not sample (:func:`sampled_band`).

    Returns:
        (H, W) complex128.
    """
    squared, axial = _axial(fy, fx, wavelength_m)
    travelling = phase_factor(distance_m * axial)
    evanescent = torch.exp(-2 * math.pi * abs(distance_m) * axial)
    transfer = torch.where(squared >= 0, travelling, evanescent.to(travelling.dtype))
    if not band_limited:
        return transfer
    return transfer * sampled_band(fy, fx, wavelength_m, distance_m)


def sampled_band(fy: Tensor, fx: Tensor, wavelength_m: Length, distance_m: Length) -> Tensor:
    """Frequencies that the window samples: from one to the next, less than half a turn.

    A window of side L has steps of ``1 / L`` in frequency; light of the other frequencies
    leaves it.

    Args:
        fy: Frequencies along y in 1/m, (H, 1), float64, as a discrete transform orders them.
        fx: Frequencies along x in 1/m, (1, W).
        wavelength_m: Wavelength in the medium.
        distance_m: Distance of the planes.

    Returns:
        (H, W) bool.
    """
    _, axial = _axial(fy.detach(), fx.detach(), number(wavelength_m))
    # Slope of the exponent, z f / axial, against half a turn a frequency step: inside the
    # ellipses of Matsushima and Shimobaba.
    kept = torch.ones_like(axial, dtype=torch.bool)
    for f in (fy.detach().abs(), fx.detach().abs()):
        if f.numel() > 1:
            kept &= 2 * abs(number(distance_m)) * f * f.flatten()[1] <= axial
    return kept


def _axial(fy: Tensor, fx: Tensor, wavelength_m: Length) -> tuple[Tensor, Tensor]:
    """The square of the axial frequency, negative for evanescent waves, and its magnitude."""
    squared = (1 / wavelength_m) ** 2 - fx**2 - fy**2
    # The derivative of a root at 0 is infinite: there the light runs along the plane.
    along = squared == 0
    axial = torch.where(along, torch.ones_like(squared), squared.abs()).sqrt()
    return squared, torch.where(along, torch.zeros_like(axial), axial)


def spherical_wave(
    y_m: Tensor, x_m: Tensor, cell_m: Length, wavelength_m: Length, distance_m: Length
) -> Tensor:
    """The light that one cell sends to a plane: ``cell^2 z / (2 pi r^2) (1 / r - i k) exp(i k r)``.

    Args:
        y_m: Offsets from the cell along y, (H,) float64.
        x_m: Offsets from the cell along x, (W,).
        cell_m: Side of the cell.
        wavelength_m: Wavelength in the medium.
        distance_m: Distance of the planes, greater than 0.

    Returns:
        (H, W) complex128.
    """
    r = torch.sqrt((y_m**2)[:, None] + (x_m**2)[None] + distance_m**2)
    k = 2 * math.pi / wavelength_m
    scale = cell_m**2 * distance_m / (2 * math.pi * r**2)
    return phase_factor(r / wavelength_m) * torch.complex(scale / r, -scale * k)


def paraxial_wave(offsets_m: Tensor, wavelength_m: Length, distance_m: Length) -> Tensor:
    """One axis of Fresnel's kernel, ``exp(i pi x^2 / (lambda z))``, of any shape, complex128."""
    return phase_factor(offsets_m**2 / (2 * wavelength_m * distance_m))


def check_lengths(
    pitch_m: Length, wavelengths_m: Sequence[Length] | Tensor, distance_m: Length, index: float
) -> None:
    """Refuse lengths that no grid can have.

    Raises:
        OpticsError: Pitch, index or a wavelength is not positive, or one of them or the
            distance is not finite.
    """
    if isinstance(wavelengths_m, Real) or (
        isinstance(wavelengths_m, Tensor) and wavelengths_m.ndim != 1
    ):
        raise OpticsError(
            f"the wavelengths are {wavelengths_m!r}; they must be a list, of one wavelength too, "
            "or a tensor (W,), in metres"
        )
    if len(wavelengths_m) == 0:
        raise OpticsError("no wavelength is given; name at least one, in metres")
    check_pitch(pitch_m)
    for wave_m in wavelengths_m:
        _check_positive("wavelength", number(wave_m))
    _check_positive("index", index)
    if not math.isfinite(number(distance_m)):
        raise OpticsError(f"distance_m is {number(distance_m):g}; it must be finite")


def check_pitch(pitch_m: Length) -> None:
    """Refuse a pitch that no grid can have.

    Raises:
        OpticsError: It is not positive, or not finite.
    """
    _check_positive("pitch_m", number(pitch_m))


def _check_positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise OpticsError(f"{name} is {value:g}; it must be finite and greater than 0")
