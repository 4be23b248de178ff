"""What a camera makes of light."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import poisson

from hybridonn.core.errors import OpticsError
from hybridonn.optics.sensor import FEW, Sensor, count_camera_pixels, expose, share_camera_pixels

PLAIN = Sensor(10_000.0, 0.0, None, 1.0, (1,))
WHITE = torch.tensor(4.0)


def flat(level, side=200):
    return torch.full((1, side, side), level * float(WHITE), dtype=torch.float64)


def test_without_limits_it_is_the_picture():
    picture = torch.rand(2, 1, 5, 6) * 4
    torch.testing.assert_close(expose(picture, WHITE, PLAIN), picture)


def test_it_saturates():
    over = replace(PLAIN, exposure=2.0)
    found = expose(torch.tensor([[[1.0, 2.0, 3.0]]]), WHITE, over)
    torch.testing.assert_close(found, torch.tensor([[[1.0, 2.0, 2.0]]]))


def test_it_counts_in_whole_steps_and_lets_the_gradient_pass():
    picture = (torch.rand(1, 20, 20) * 4).requires_grad_()
    found = expose(picture, WHITE, replace(PLAIN, bit_depth=4))
    steps = found / WHITE * 15
    torch.testing.assert_close(steps, steps.round(), atol=1e-4, rtol=0)
    assert (found - picture).abs().max() <= 4 / 30 + 1e-6
    found.sum().backward()
    torch.testing.assert_close(picture.grad, torch.ones_like(picture))


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("level", [0.009, 0.02, 0.5])  # the first is counted photon by photon
def test_noise_is_that_of_photons_and_of_reading(level, count):
    sensor = replace(PLAIN, read_noise_electrons=20.0, camera_pixels=(count,))
    found = expose(flat(level), WHITE, sensor, torch.Generator().manual_seed(0)) / WHITE
    expected = (level / 10_000 + (20 / 10_000) ** 2) / count
    assert float(found.mean()) == pytest.approx(level, abs=4 * (expected / found.numel()) ** 0.5)
    assert float(found.var()) == pytest.approx(expected, rel=0.03)


def test_bright_and_dim_pixels_follow_poisson():
    """Kolmogorov and Smirnov: the distribution function is nowhere off by a hundredth."""
    number = 40_000
    for mean in (0.3, 7.0, FEW - 1.0, FEW + 1.0, 3000.0):
        sensor = replace(PLAIN, exposure=1.0)
        picture = torch.full((1, 1, number), mean / 10_000, dtype=torch.float64)
        found = expose(picture, torch.tensor(1.0), sensor, torch.Generator().manual_seed(3))
        counts = (found * 10_000).round().flatten().numpy()
        steps = np.arange(counts.max() + 2)
        measured = np.searchsorted(np.sort(counts), steps, "right") / number
        assert np.abs(measured - poisson(mean).cdf(steps)).max() < 0.01, mean


def test_the_seed_fixes_the_noise():
    sensor = replace(PLAIN, read_noise_electrons=5.0)
    a, b, c = (
        expose(flat(0.3, 8), WHITE, sensor, torch.Generator().manual_seed(s)) for s in (1, 1, 2)
    )
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_camera_pixels_in_a_pixel_of_the_picture():
    assert count_camera_pixels(11.72e-6, 5.86e-6, bayer=True) == 2
    assert share_camera_pixels(2, 3, bayer=False) == (4, 4, 4)
    assert share_camera_pixels(2, 3, bayer=True) == (1, 2, 1)
    with pytest.raises(OpticsError, match=r"2\.344 camera pixels of 5 um"):
        count_camera_pixels(11.72e-6, 5e-6, bayer=False)
    with pytest.raises(OpticsError, match="2 with a Bayer mosaic"):
        count_camera_pixels(11.72e-6, 11.72e-6, bayer=True)
