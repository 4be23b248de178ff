"""Light from one plane to another of any pitch, size and place, differentiable in everything.

Both methods sum plane waves or paraxial waves directly at the samples that are wanted, as
products of three matrices, ``Y A X``, so that the output grid is free (Jurling, Bergkoetter and
Fienup 2018, Journal of the Optical Society of America A 35, 1784). A product costs
``H N W`` operations where a transform costs ``N^2 log N``; :class:`Propagator` is quicker where
both planes have the same grid and nothing but the field needs a gradient.

- Angular spectrum (Goodman 2005, Introduction to Fourier Optics, equation 3-74), without the
  frequencies that the window cannot sample (Matsushima and Shimobaba 2009, Optics Express 17,
  19662, equation 13).
- Fresnel's integral (Goodman 2005, equation 4-17).

Grids are those of :mod:`hybridonn.optics.waves.propagation`; time goes as ``exp(-i omega t)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from hybridonn.core.errors import OpticsError
from hybridonn.optics.waves.propagation import check_lengths

Method = Literal["angular spectrum", "Fresnel"]
# Largest error of the phase that the paraxial approximation may make, in radians.
PARAXIAL = 0.05


@dataclass(frozen=True)
class Plane:
    """Samples of a plane across the light.

    Attributes:
        shape: Numbers of samples (H, W), down and to the right.
        pitch_m: Distance from sample to sample, in metres; a tensor carries a gradient.
        shift_m: Place of the centre, (down, right) in metres.
    """

    shape: tuple[int, int]
    pitch_m: float | Tensor
    shift_m: tuple[float | Tensor, float | Tensor] = (0.0, 0.0)

    def places(self) -> tuple[Tensor, Tensor]:
        """Where the samples lie: y, down, and x, to the right, in metres, float64."""
        y, x = (
            (torch.arange(n, dtype=torch.float64) - (n - 1) / 2) * self.pitch_m + shift
            for n, shift in zip(self.shape, self.shift_m, strict=True)
        )
        return y, x


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

    The transfer function of the angular spectrum is sampled for all light that the pitch carries
    up to the distance ``L pitch / lambda``, L the padded window; beyond it Fresnel's integral is
    sampled, whose paraxial phase is wrong by ``pi r^4 / (4 lambda z^3)`` at most. Where that is
    too much, the angular spectrum is taken and its band limit leaves out the steepest light.

    Args:
        source: Plane of the field.
        target: Plane where the light is wanted.
        wavelength_m: Wavelength in vacuum, in metres.
        distance_m: Distance of the planes, in metres.
        index: Refractive index between them.
    """
    pitch_m, z_m, wave_m = _number(source.pitch_m), abs(distance_m), wavelength_m / index
    reach_m = min(_window(source, target)) * pitch_m * pitch_m / wave_m
    if z_m <= reach_m:
        return Choice(
            "angular spectrum",
            f"its transfer function is sampled up to {1e6 * reach_m:.4g} um, and the planes are "
            f"{1e6 * z_m:.4g} um apart",
        )
    ends_m = [
        max(abs(_number(one[0]) - _number(other[-1])), abs(_number(one[-1]) - _number(other[0])))
        for one, other in zip(source.places(), target.places(), strict=True)
    ]
    error = math.pi * math.hypot(*ends_m) ** 4 / (4 * wave_m * z_m**3)
    if error <= PARAXIAL:
        return Choice(
            "Fresnel",
            f"beyond {1e6 * reach_m:.4g} um the angular spectrum is not sampled, and the paraxial "
            f"phase is wrong by {error:.2g} rad at most",
        )
    return Choice(
        "angular spectrum",
        f"the paraxial phase would be wrong by {error:.2g} rad, allowed are {PARAXIAL:g}; light "
        f"steeper than its window samples over {1e6 * z_m:.4g} um is left out",
    )


def propagate_to(
    field: Tensor,
    source: Plane,
    target: Plane,
    wavelength_m: float | Tensor,
    distance_m: float | Tensor,
    *,
    index: float = 1.0,
    method: Method | None = None,
) -> Tensor:
    """The field on another plane.

    Args:
        field: Field on the source plane, (..., H, W) complex.
        source: Plane of the field.
        target: Plane where the light is wanted.
        wavelength_m: Wavelength in vacuum, in metres.
        distance_m: Distance of the planes along the axis, in metres.
        index: Refractive index between them.
        method: None: what :func:`choose_method` chooses, which also says why.

    Returns:
        (..., H', W') complex, differentiable in the field, both pitches, the shifts, the
        wavelength and the distance.

    Raises:
        OpticsError: The field is not of the source plane's shape, or a length cannot be.
    """
    if tuple(field.shape[-2:]) != source.shape:
        raise OpticsError(
            f"the field has {tuple(field.shape[-2:])} samples, the source plane {source.shape}"
        )
    for plane in (source, target):
        check_lengths(_number(plane.pitch_m), (_number(wavelength_m),), _number(distance_m), index)
    wave_m = torch.as_tensor(wavelength_m, dtype=torch.float64) / index
    z_m = torch.as_tensor(distance_m, dtype=torch.float64)
    if method is None:
        lengths = (_number(wavelength_m), _number(distance_m), index)
        method = choose_method(source, target, *lengths).method
    if method == "Fresnel":
        if _number(z_m) == 0:
            raise OpticsError("Fresnel's integral needs a distance other than 0")
        return _sum_paraxial_waves(field, source, target, wave_m, z_m)
    return _sum_plane_waves(field, source, target, wave_m, z_m)


def _sum_plane_waves(
    field: Tensor, source: Plane, target: Plane, wave_m: Tensor, z_m: Tensor
) -> Tensor:
    counts = _window(source, target)
    fy, fx = (
        torch.fft.fftfreq(n, dtype=torch.float64) / torch.as_tensor(source.pitch_m) for n in counts
    )
    to_rows, to_columns = (
        _waves(-f[:, None] * place) / len(f)
        for f, place in zip((fy, fx), source.places(), strict=True)
    )
    from_rows, from_columns = (
        _waves(place[:, None] * f) for f, place in zip((fy, fx), target.places(), strict=True)
    )
    spectrum = (
        to_rows.to(field.device) @ field.to(torch.complex128) @ to_columns.to(field.device).mT
    )
    spectrum = spectrum * _transfer(fy[:, None], fx[None], wave_m, z_m).to(field.device)
    return (from_rows.to(field.device) @ spectrum @ from_columns.to(field.device).mT).to(
        field.dtype
    )


def _transfer(fy: Tensor, fx: Tensor, wave_m: Tensor, z_m: Tensor) -> Tensor:
    squared = 1 / wave_m**2 - fy**2 - fx**2
    # The derivative of a root at 0 is infinite: there the light runs along the plane.
    axial = torch.where(squared == 0, torch.ones_like(squared), squared.abs()).sqrt()
    axial = torch.where(squared == 0, torch.zeros_like(axial), axial)
    travelling = _waves(z_m * axial)
    evanescent = torch.exp(-2 * math.pi * z_m.abs() * axial)
    transfer = torch.where(squared >= 0, travelling, evanescent.to(travelling.dtype))
    kept = torch.ones_like(squared, dtype=torch.bool)
    for f in (fy, fx):
        if f.numel() > 1:
            step = f.flatten()[1].abs()
            kept &= 2 * z_m.abs() * f.abs() * step <= axial
    return transfer * kept


def _sum_paraxial_waves(
    field: Tensor, source: Plane, target: Plane, wave_m: Tensor, z_m: Tensor
) -> Tensor:
    run = wave_m * z_m
    rows, columns = (
        _waves((there[:, None] - here) ** 2 / (2 * run)).to(field.device)
        for there, here in zip(target.places(), source.places(), strict=True)
    )
    scale = _waves(z_m / wave_m) * torch.as_tensor(source.pitch_m) ** 2 / (1j * run)
    return (scale.to(field.device) * (rows @ field.to(torch.complex128) @ columns.mT)).to(
        field.dtype
    )


def _window(source: Plane, target: Plane) -> list[int]:
    """Samples of the padded window, along y and x: it holds both planes, dark between copies."""
    pitch_m, target_m = _number(source.pitch_m), _number(target.pitch_m)
    sizes = zip(source.shape, target.shape, source.shift_m, target.shift_m, strict=True)
    return [
        max(
            2 * n,
            n + math.ceil((m * target_m + 2 * abs(_number(t) - _number(s))) / pitch_m),
        )
        for n, m, s, t in sizes
    ]


def _number(value: float | Tensor) -> float:
    return float(value.detach()) if isinstance(value, Tensor) else value


def _waves(turns: Tensor) -> Tensor:
    """``exp(2 pi i turns)``, complex128; whole turns are taken off first."""
    angle = 2 * math.pi * torch.remainder(turns, 1.0)
    return torch.complex(torch.cos(angle), torch.sin(angle))
