"""Fields that optics start from, and the thin lens.

Everything returns (W, H, W') complex on the centred grid of
:mod:`hybridonn.optics.waves.propagation`; time goes as ``exp(-i omega t)``, so that light
which travels forward gains phase. Phases are computed in float64, then cast.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from hybridonn.optics.waves.kernels import phase_factor, sample_steps


def coordinates(
    shape: tuple[int, int], pitch_m: float, device: torch.device | str | None = None
) -> tuple[Tensor, Tensor]:
    """Where the samples lie: y (H, 1), down, and x (1, W), to the right, in metres, float64."""
    y, x = (sample_steps(n, device) * pitch_m for n in shape)
    return y[:, None], x[None]


def plane_wave(
    shape: tuple[int, int],
    pitch_m: float,
    wavelengths_m: Sequence[float],
    sines: tuple[float, float] = (0.0, 0.0),
    *,
    dtype: torch.dtype = torch.complex64,
    device: torch.device | str | None = None,
) -> Tensor:
    """A plane wave of amplitude 1 in vacuum, straight or oblique.

    Args:
        shape: Samples of the grid, (H, W).
        pitch_m: Distance from sample to sample, in metres.
        wavelengths_m: Wavelengths in metres, one for each channel.
        sines: Sines of the angles at which it runs down (y) and to the right (x).
        dtype: complex64 or complex128.
        device: Device of the result.

    Returns:
        (W, H, W').
    """
    y, x = coordinates(shape, pitch_m, device)
    path_m = sines[0] * y + sines[1] * x
    return torch.stack([phase_factor(path_m / w).to(dtype) for w in wavelengths_m])


def gaussian_beam(
    shape: tuple[int, int],
    pitch_m: float,
    wavelengths_m: Sequence[float],
    waist_m: float,
    distance_m: float = 0.0,
    *,
    dtype: torch.dtype = torch.complex64,
    device: torch.device | str | None = None,
) -> Tensor:
    """A Gaussian beam of amplitude 1 at the centre of its waist.

    ``w0 / w exp(-r^2 / w^2) exp(i k z + i k r^2 / (2 R) - i arctan(z / z_R))`` with
    ``w = w0 sqrt(1 + (z / z_R)^2)``, ``R = z + z_R^2 / z``, ``z_R = pi w0^2 / lambda``
    (Saleh and Teich 2019, Fundamentals of Photonics, equation 3.1-7).

    Args:
        shape: Samples of the grid, (H, W).
        pitch_m: Distance from sample to sample, in metres.
        wavelengths_m: Wavelengths in the medium, one for each channel.
        waist_m: Radius w0 at which the amplitude is 1 / e.
        distance_m: z of the plane behind the waist.
        dtype: complex64 or complex128.
        device: Device of the result.

    Returns:
        (W, H, W').
    """
    y, x = coordinates(shape, pitch_m, device)
    beams = []
    for wavelength_m in wavelengths_m:
        rayleigh_m = math.pi * waist_m**2 / wavelength_m
        widening = math.sqrt(1 + (distance_m / rayleigh_m) ** 2)
        curvature = distance_m / (distance_m**2 + rayleigh_m**2)
        path_m = distance_m + curvature * (x**2 + y**2) / 2
        turns = path_m / wavelength_m - math.atan(distance_m / rayleigh_m) / (2 * math.pi)
        amplitude = torch.exp(-(x**2 + y**2) / (waist_m * widening) ** 2) / widening
        beams.append((amplitude * phase_factor(turns)).to(dtype))
    return torch.stack(beams)


def thin_lens(
    shape: tuple[int, int],
    pitch_m: float,
    wavelengths_m: Sequence[float],
    focal_length_m: float,
    aperture_m: float | None = None,
    *,
    dtype: torch.dtype = torch.complex64,
    device: torch.device | str | None = None,
) -> Tensor:
    """The transmission of a thin lens, ``exp(-i pi r^2 / (lambda f))`` within its aperture.

    Goodman 2005, equation 5-10. The aperture's edge is shared out to the samples that it
    cuts, so that its area is right; a hard edge is wrong by the width of a sample.

    Args:
        shape: Samples of the grid, (H, W).
        pitch_m: Distance from sample to sample, in metres.
        wavelengths_m: Wavelengths in metres, one for each channel.
        focal_length_m: Positive: it gathers light.
        aperture_m: Diameter; None: as large as the grid, without an edge.
        dtype: complex64 or complex128.
        device: Device of the result.

    Returns:
        (W, H, W').
    """
    y, x = coordinates(shape, pitch_m, device)
    squared_m2 = x**2 + y**2
    passed = torch.ones_like(squared_m2)
    if aperture_m is not None:
        passed = ((aperture_m / 2 - squared_m2.sqrt()) / pitch_m + 0.5).clamp(0, 1)
    return torch.stack(
        [
            (passed * phase_factor(-squared_m2 / (2 * w * focal_length_m))).to(dtype)
            for w in wavelengths_m
        ]
    )
