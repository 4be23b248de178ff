"""Errors of a 4f system's masks: closed forms, and nothing where the magnitude is zero."""

import math

import pytest
import torch

from hybridonn.optics.fabrication.chip_errors import ChipErrors
from hybridonn.optics.fabrication.mask_errors import (
    add_amplitude_noise,
    add_phase_noise,
    bend,
    round_amplitudes,
    round_phases,
)


def phases(side=200):
    torch.manual_seed(0)
    angle = 2 * math.pi * torch.rand(1, 2, 1, side, side, dtype=torch.float64)
    return torch.polar(torch.ones_like(angle), angle)


@pytest.mark.parametrize("levels", [2, 3, 4, 8])
def test_a_quantised_linear_phase_keeps_sinc_squared_of_its_light(levels):
    """Goodman 2005, section 9.4: the efficiency of the first order is sinc(1 / L)^2."""
    ramp = torch.arange(4800, dtype=torch.float64) * 2 * math.pi / 240 + 0.013
    mask = torch.polar(torch.ones_like(ramp), ramp).view(1, 1, 1, 60, 80)
    made = round_phases(mask, ChipErrors(0, {"mask_phase_levels": levels}))
    assert len(torch.unique((made.angle() * levels / (2 * math.pi)).round() % levels)) == levels
    order = (made * mask.conj()).mean().abs() ** 2
    assert float(order) == pytest.approx(float(torch.sinc(torch.tensor(1 / levels)) ** 2), rel=2e-3)


def test_two_levels_of_phase_are_zero_and_pi():
    made = round_phases(phases(), ChipErrors(0, {"mask_phase_levels": 2}))
    assert torch.allclose(made.real.abs(), torch.ones_like(made.real))
    assert float(made.imag.abs().max()) < 1e-9


def test_two_levels_of_amplitude_are_dark_and_open():
    mask = torch.rand(5, 5) * phases(5)
    made = round_amplitudes(mask, ChipErrors(0, {"mask_amplitude_levels": 2}))
    assert set(made.abs().round(decimals=9).flatten().tolist()) == {0.0, 1.0}
    lit = made.abs() > 0.5
    assert torch.allclose(made[lit].angle(), mask[lit].angle())


def test_what_is_rounded_passes_its_derivative_on():
    mask = (0.7 * phases(4)).requires_grad_()
    errors = ChipErrors(0, {"mask_phase_levels": 4, "mask_amplitude_levels": 5})
    made = round_amplitudes(round_phases(mask, errors), errors)
    made.abs().sum().backward()
    assert mask.grad.isfinite().all()
    assert mask.grad.any()


def test_phase_noise_keeps_the_amplitude_that_it_should():
    errors = ChipErrors(1, {"mask_phase_radians": 0.6})
    mask = phases(400)
    kept = (add_phase_noise(mask, errors) * mask.conj()).real.mean()
    assert float(kept) == pytest.approx(math.exp(-(0.6**2) / 2), abs=0.003)


def test_flatness_is_smooth_and_of_the_stated_size():
    errors = ChipErrors(1, {"mask_flatness_radians": 0.4})
    made = bend(torch.ones(1, 2, 1, 64, 64, dtype=torch.complex128), errors)
    angle = made.angle()
    rms = angle.square().mean((-2, -1)).sqrt()
    assert torch.allclose(rms, torch.full_like(rms, 0.4))
    # A correlation exp(-x^2 / l^2), l an eighth of the side.
    step = (angle[..., 1:] - angle[..., :-1]).square().mean().sqrt()
    assert float(step) == pytest.approx(0.4 * math.sqrt(2) / 8, rel=0.15)
    assert not torch.allclose(angle[0, 0], angle[0, 1])


def test_amplitudes_stay_passive_and_keep_their_phase():
    mask = torch.rand(200, 200) * phases()
    made = add_amplitude_noise(mask, ChipErrors(1, {"mask_amplitude_fraction": 0.1}))
    assert made.abs().max() <= 1 + 1e-12
    ratio = made / mask
    assert float(ratio.imag.abs().max()) < 1e-9
    dim = mask.abs() < 0.5
    assert float(ratio.real[dim].std()) == pytest.approx(0.1, rel=0.02)
