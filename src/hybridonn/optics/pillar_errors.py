"""What fabrication does to the pillars of a metasurface, as functions of widths and of light.

Widths are (..., H, W) in metres, a cell each, 0 where no pillar stands; transmissions are
complex, (..., H, W).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def bias_widths(
    widths_m: Tensor, bias_m: float, noise_m: float, largest_m: float, generator: torch.Generator
) -> Tensor:
    """Widths with one common bias (dose, development) and noise of each cell.

    Where no pillar stands none grows; a pillar does not become wider than the period allows.

    Args:
        widths_m: (..., H, W).
        bias_m: Standard deviation of the bias of the chip.
        noise_m: Standard deviation of each cell.
        largest_m: The widest pillar that can stand.
        generator: On the CPU.
    """
    bias = bias_m * torch.randn((), generator=generator)
    noise = noise_m * torch.randn(widths_m.shape, generator=generator)
    made = (widths_m + (bias + noise).to(widths_m)).clamp(0, largest_m)
    return torch.where(widths_m > 0, made, torch.zeros_like(widths_m))


def etch_deeper(transmission: Tensor, fraction: float) -> Tensor:
    """A library's transmission with pillars higher by a fraction: their phase grows with height.

    The phase of a pillar against the empty cell is ``2 pi (n_eff - 1) h / lambda``, so it scales
    with h; resonances, which the amplitude shows, are left as they are.

    Args:
        transmission: (W, N), complex, widths rising from the empty cell.
        fraction: Of the height; negative: shallower.
    """
    phase = transmission.angle()
    steps = torch.remainder(phase.diff(dim=1) + math.pi, 2 * math.pi) - math.pi
    unwrapped = torch.cat([torch.zeros_like(phase[:, :1]), steps.cumsum(1)], 1)
    return transmission * torch.polar(torch.ones_like(unwrapped), fraction * unwrapped)


def couple_neighbours(transmission: Tensor, fraction: float) -> Tensor:
    """What the local-periodic approximation leaves out, to first order.

    A pillar's light is shaped as if all around it were alike; here a fraction of it is the
    mean of its four neighbours' in place of its own. Equal neighbours change nothing.

    Args:
        transmission: (..., H, W), complex.
        fraction: In [0, 1).
    """
    flat = torch.view_as_real(transmission).movedim(-1, -3).flatten(0, -4)
    framed = F.pad(flat, (1, 1, 1, 1), mode="replicate")
    around = (
        framed[..., 1:-1, :-2]
        + framed[..., 1:-1, 2:]
        + framed[..., :-2, 1:-1]
        + framed[..., 2:, 1:-1]
    ) / 4
    mixed = flat + fraction * (around - flat)
    mixed = mixed.movedim(-3, -1).contiguous()
    return torch.view_as_complex(mixed).reshape(transmission.shape)


def stitch(
    transmission: Tensor,
    error_m: float,
    field_m: float,
    cell_m: float,
    generator: torch.Generator,
) -> Tensor:
    """Displace each write field by its own error, less than a cell: bilinear interpolation.

    Args:
        transmission: (..., H, W), complex.
        error_m: Standard deviation along each axis.
        field_m: Side of a write field.
        cell_m: Side of a cell.
        generator: On the CPU.
    """
    height, width = transmission.shape[-2:]
    side = max(1, round(field_m / cell_m))
    fields = math.ceil(height / side), math.ceil(width / side)
    shift = error_m / cell_m * torch.randn(2, *fields, generator=generator)
    shift = shift.clamp(-1, 1).repeat_interleave(side, 1).repeat_interleave(side, 2)
    down, right = shift[:, :height, :width].to(transmission.real)
    moved = _slide(transmission, right, -1)
    return _slide(moved, down, -2)


def _slide(light: Tensor, shift: Tensor, axis: int) -> Tensor:
    # The light at x comes from x - shift; at the edges the last cell is repeated.
    before = torch.cat(
        [light.narrow(axis, 0, 1), light.narrow(axis, 0, light.shape[axis] - 1)], axis
    )
    after = torch.cat(
        [light.narrow(axis, 1, light.shape[axis] - 1), light.narrow(axis, -1, 1)], axis
    )
    forward, backward = shift.clamp_min(0), (-shift).clamp_min(0)
    return (1 - forward - backward) * light + forward * before + backward * after


def sample_band(
    wavelength_m: float, offset_m: float, width_m: float, samples: int = 5
) -> tuple[list[float], list[float]]:
    """Wavelengths and weights that stand for a source of Gaussian spectrum.

    Gauss-Hermite nodes: ``sigma = FWHM / (2 sqrt(2 ln 2))``, ``lambda + sqrt(2) sigma x_i`` with
    the weights ``w_i / sqrt(pi)``: exact for moments up to 2 n - 1.

    Args:
        wavelength_m: The nominal wavelength.
        offset_m: Of the source's centre.
        width_m: Full width at half maximum; 0: one wavelength.
        samples: n.
    """
    import numpy as np

    if not width_m:
        return [wavelength_m + offset_m], [1.0]
    nodes, weights = np.polynomial.hermite.hermgauss(samples)
    sigma = width_m / (2 * math.sqrt(2 * math.log(2)))
    centre = wavelength_m + offset_m
    places = [centre + math.sqrt(2) * sigma * float(node) for node in nodes]
    return places, [float(weight) / math.sqrt(math.pi) for weight in weights]
