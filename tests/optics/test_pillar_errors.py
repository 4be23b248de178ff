"""Errors of pillars, by closed forms."""

import math

import pytest
import torch

from hybridonn.optics.pillar_errors import (
    bias_widths,
    couple_neighbours,
    etch_deeper,
    sample_band,
    stitch,
)


def test_no_pillar_grows_where_none_stands_and_none_is_too_wide():
    widths = torch.tensor([0.0, 65e-9, 237e-9]).repeat(1000, 1)
    made = bias_widths(widths, 5e-9, 3e-9, 240e-9, torch.Generator().manual_seed(0))
    assert (made[:, 0] == 0).all()
    assert made.max() <= 240e-9
    assert (made - widths)[:, 1].std() == pytest.approx(3e-9, rel=0.1)


def test_a_deeper_etch_scales_the_phase_across_wraps():
    phase = torch.linspace(0, 9, 40, dtype=torch.float64)[None]
    deeper = etch_deeper(torch.polar(torch.full_like(phase, 0.9), phase), 0.05)
    wanted = torch.polar(torch.full_like(phase, 0.9), 1.05 * phase)
    assert torch.allclose(deeper, wanted)


def test_coupling_leaves_equal_neighbours_and_mixes_others():
    light = torch.ones(2, 5, 5, dtype=torch.complex128)
    assert torch.allclose(couple_neighbours(light, 0.3), light)
    light[0, 2, 2] = -1j
    mixed = couple_neighbours(light, 0.2)
    assert mixed[0, 2, 2] == pytest.approx(0.8 * -1j + 0.2)
    assert mixed[0, 2, 1] == pytest.approx(1 + 0.05 * (-1j - 1))
    assert torch.allclose(mixed[1], light[1])


def test_stitching_of_a_linear_picture_is_a_shift():
    ramp = torch.arange(8, dtype=torch.float64).expand(8, 8).to(torch.complex128)
    generator = torch.Generator().manual_seed(0)
    moved = stitch(ramp, 0.1, 8.0, 1.0, generator).real
    shift = (ramp.real - moved)[:, 1:-1]
    assert torch.allclose(shift, shift[0, 0].expand_as(shift))
    assert 0 < shift[0, 0].abs() < 0.5


def test_a_band_has_its_centre_and_its_width():
    places, weights = sample_band(532e-9, 2e-9, 10e-9)
    assert sum(weights) == pytest.approx(1)
    mean = sum(w * p for w, p in zip(weights, places, strict=True))
    variance = sum(w * (p - mean) ** 2 for w, p in zip(weights, places, strict=True))
    assert mean == pytest.approx(534e-9)
    assert math.sqrt(variance) == pytest.approx(10e-9 / 2.3548, rel=1e-4)
    assert sample_band(532e-9, 0.0, 0.0) == ([532e-9], [1.0])
