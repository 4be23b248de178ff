import math

import pytest
import torch

from hybridonn.optics.waves.sources import coordinates, gaussian_beam, plane_wave, thin_lens

COLOURS = (450e-9, 635e-9)


@pytest.mark.parametrize("shape", [(4, 7), (5, 6)])
def test_the_grid_is_centred(shape):
    y, x = coordinates(shape, 2e-6)
    assert y.shape == (shape[0], 1)
    assert x.shape == (1, shape[1])
    assert float(y.sum()) == pytest.approx(0, abs=1e-18)
    assert float(x[0, 1] - x[0, 0]) == pytest.approx(2e-6)


def test_a_tilted_wave_gains_one_turn_each_wavelength_sideways():
    wave = plane_wave((1, 101), 1e-6, COLOURS, (0.0, 0.1), dtype=torch.complex128)
    for one, wavelength in zip(wave, COLOURS, strict=True):
        step = (one[0, 1:] / one[0, :-1]).angle() / (2 * math.pi)
        expected = 0.1 * 1e-6 / wavelength
        assert torch.allclose(step, torch.full_like(step, expected), atol=1e-9)


def test_a_beam_holds_its_power_at_every_distance():
    powers = [
        gaussian_beam((400, 400), 1e-6, COLOURS, 30e-6, z, dtype=torch.complex128)
        .abs()
        .square()
        .sum((1, 2))
        * 1e-12
        for z in (0.0, 1e-3, -3e-3)
    ]
    for power in powers:
        assert power.tolist() == pytest.approx([math.pi * (30e-6) ** 2 / 2] * 2, rel=1e-6)


@pytest.mark.parametrize("diameter", [50e-6, 50.7e-6])
def test_an_aperture_passes_its_area(diameter):
    lens = thin_lens((128, 128), 1e-6, COLOURS, 1e-3, diameter)
    assert float(lens[0].abs().sum()) == pytest.approx(math.pi * diameter**2 / 4 * 1e12, rel=1e-3)


def test_two_lenses_are_one_of_half_the_focal_length():
    one = thin_lens((32, 32), 1e-6, COLOURS, 2e-3, dtype=torch.complex128)
    both = thin_lens((32, 32), 1e-6, COLOURS, 1e-3, dtype=torch.complex128)
    assert torch.allclose(one * one, both)
