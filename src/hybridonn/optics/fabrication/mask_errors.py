"""The laws that act on the transmission of the masks of a 4f system, one function for each.

Each takes the transmissions, (K, 2, C, M, M) complex, the magnitudes of the chip and the system,
and returns the changed transmissions. A mask stays passive: no pixel transmits more than it gets.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hybridonn.optics.fabrication.chip_errors import ChipErrors, draw
from hybridonn.optics.waves.four_f import FourFSystem

# Correlation length of the smooth phase error, over the side of the mask: curvature and ripples
# of a substrate or a backplane, not the noise of its pixels.
SMOOTH = 0.125


def round_phases(masks: Tensor, errors: ChipErrors, _: FourFSystem | None = None) -> Tensor:
    """Masks whose phases are the nearest of L equal steps of a turn (Goodman 2005, section 9.4).

    A quantised mask of a linear phase keeps ``sinc(1/L)^2`` of its first order. The derivative is
    passed on as if nothing were rounded.
    """
    step = 2 * math.pi / errors["mask_phase_levels"]
    phases = masks.detach().angle()
    return masks * _turn((phases / step).round() * step - phases)


def round_amplitudes(masks: Tensor, errors: ChipErrors, _: FourFSystem | None = None) -> Tensor:
    """Masks whose amplitudes are the nearest of L equal levels from 0 to 1.

    The derivative is passed on as if nothing were rounded.
    """
    steps = max(errors["mask_amplitude_levels"] - 1, 1)
    amplitudes = masks.detach().abs()
    wanted = (amplitudes * steps).round() / steps
    return masks + (wanted - amplitudes) * _turn(masks.detach().angle())


def bend(masks: Tensor, errors: ChipErrors, _: FourFSystem | None = None) -> Tensor:
    """Masks with a smooth phase error of their own, Gaussian and of the stated root mean square."""
    noise = draw("mask flatness", tuple(masks.shape), errors)
    side = masks.shape[-1]
    # The correlation exp(-x^2 / l^2) has the power spectrum exp(-(pi l nu)^2): its root filters.
    line = torch.exp(-(math.pi * SMOOTH * side * torch.fft.fftfreq(side)).square() / 2)
    smooth = torch.fft.ifft2(torch.fft.fft2(noise) * line[:, None] * line).real
    smooth = smooth - smooth.mean((-2, -1), keepdim=True)  # one phase everywhere changes nothing
    rms = smooth.square().mean((-2, -1), keepdim=True).sqrt()
    rms = rms.clamp_min(torch.finfo(rms.dtype).tiny)  # of a mask of one pixel
    return masks * _turn(errors["mask_flatness_radians"] * smooth / rms).to(masks)


def add_phase_noise(masks: Tensor, errors: ChipErrors, _: FourFSystem | None = None) -> Tensor:
    """Masks with a normal phase error of each pixel.

    On average a pixel keeps ``exp(-sigma^2 / 2)`` of its amplitude (Goodman 2015, Statistical
    Optics, equation 2.9-3 with one term); the rest is scattered.
    """
    noise = draw("mask phase", tuple(masks.shape), errors)
    return masks * _turn(errors["mask_phase_radians"] * noise).to(masks)


def add_amplitude_noise(masks: Tensor, errors: ChipErrors, _: FourFSystem | None = None) -> Tensor:
    """Masks with a normal error of each pixel's amplitude, over the amplitude; at most 1."""
    noise = draw("mask amplitude", tuple(masks.shape), errors).to(masks.real)
    factor = (1 + errors["mask_amplitude_fraction"] * noise).clamp_min(0)
    bound = 1 / masks.detach().abs().clamp_min(torch.finfo(noise.dtype).tiny)
    return masks * torch.minimum(factor, bound)


def _turn(phase: Tensor) -> Tensor:
    return torch.polar(torch.ones_like(phase), phase)
