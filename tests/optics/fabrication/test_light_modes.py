import math

import pytest
import torch

from hybridonn.optics.fabrication.chip_errors import ChipErrors
from hybridonn.optics.fabrication.light_modes import list_modes, merge_modes, sample_source
from hybridonn.optics.waves.four_f import FourFSystem

SYSTEM = FourFSystem((635e-9, 450e-9), 0.1, 21, 8e-6, 96e-6)


def test_light_without_errors_is_one_mode_of_the_design():
    (mode,) = list_modes(SYSTEM, ChipErrors(5))
    assert mode.wavelengths_m == SYSTEM.wavelengths_m
    assert (mode.direction, mode.weight) == ((0.0, 0.0), 1.0)


def test_modes_share_all_of_the_light_and_have_its_spectrum():
    modes = list_modes(SYSTEM, ChipErrors(5, {"bandwidth_m": 10e-9, "source_radians": 1e-4}))
    assert len(modes) == 21
    assert sum(mode.weight for mode in modes) == pytest.approx(1)
    mean = sum(mode.weight * mode.wavelengths_m[0] for mode in modes)
    variance = sum(mode.weight * (mode.wavelengths_m[0] - mean) ** 2 for mode in modes)
    assert mean == pytest.approx(635e-9)
    assert 2 * math.sqrt(2 * math.log(2) * variance) == pytest.approx(10e-9)


@pytest.mark.parametrize(
    ("power", "moment"),
    [((0, 0), 1), ((2, 0), 1 / 4), ((0, 2), 1 / 4), ((2, 2), 1 / 24), ((4, 0), 1 / 8)],
)
def test_the_source_has_the_moments_of_an_even_disc(power, moment):
    found = sum(w * (x / 3) ** power[0] * (y / 3) ** power[1] for (x, y), w in sample_source(3.0))
    assert found == pytest.approx(moment)


def test_merged_modes_give_the_same_pictures():
    torch.manual_seed(0)
    basis = torch.randn(2, 1, 2, 1, 5, 5, dtype=torch.complex128)
    modes = torch.einsum("jm,mkscyx->jkscyx", torch.randn(6, 2, dtype=torch.complex128), basis)
    merged = merge_modes(modes)
    assert len(merged) == 2  # all were of two
    point = modes.abs().square().sum(0), merged.abs().square().sum(0)
    even = modes.sum((-2, -1)).abs().square().sum(0), merged.sum((-2, -1)).abs().square().sum(0)
    for before, after in (point, even):
        torch.testing.assert_close(after, before)


def test_one_mode_stays_as_it_is():
    one = torch.randn(1, 1, 2, 1, 3, 3, dtype=torch.complex64)
    assert torch.equal(merge_modes(one), one)
