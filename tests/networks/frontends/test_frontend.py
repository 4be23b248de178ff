"""Several resolutions: what is trained and what a chip with a binned camera takes are one."""

import pytest
import torch

from hybridonn.networks.frontends.binned import BinnedFrontend
from hybridonn.networks.frontends.chip_kernels import spread
from hybridonn.networks.frontends.ideal_convolution import IdealConvolution
from hybridonn.networks.frontends.metasurface import MetasurfaceFrontend
from hybridonn.networks.frontends.parallel import ParallelFrontend
from hybridonn.optics.metasurface.targets import restore_gains, split_kernels
from hybridonn.optics.sensor import Sensor

COUNTS, BINNINGS = (2, 3, 4), (1, 2, 4)


def branched():
    torch.manual_seed(0)
    parts = zip(COUNTS, (3, 5, 3), strict=True)
    branches = [IdealConvolution(count, size, 3) for count, size in parts]
    return ParallelFrontend(branches, BINNINGS).double()


def chip_of(ideal, window=31, **more):
    """A perfect chip of the kernels as they lie on the sensor."""
    targets = split_kernels(ideal.sensor_kernels().detach())
    size = targets.parts.shape[-1]
    psfs = torch.nn.functional.pad(targets.parts, 4 * ((window - size) // 2,)) * 0.01
    gains = restore_gains(targets.parts * 0.01, targets)
    return BinnedFrontend(MetasurfaceFrontend(psfs, size, 1, gains, **more), COUNTS, BINNINGS)


@pytest.mark.parametrize("shape", [(16, 16), (12, 28)])
def test_a_perfect_chip_with_a_binned_camera_is_the_ideal_network(shape):
    ideal = branched()
    scene = torch.rand(2, 3, *shape, dtype=torch.float64)
    wanted, got = ideal(scene), chip_of(ideal)(scene)
    assert [tuple(some.shape[1:]) for some in got] == [
        (count, shape[0] // size, shape[1] // size)
        for count, size in zip(COUNTS, BINNINGS, strict=True)
    ]
    for one, other in zip(wanted, got, strict=True):
        torch.testing.assert_close(other, one)


def test_binning_sums_what_the_camera_reads_pixel_by_pixel():
    ideal = branched()
    camera = Sensor(3e4, 7.0, 8, 1.0, (4, 4, 4))
    chip = chip_of(ideal, sensor=camera, generator=torch.Generator().manual_seed(0))
    scene = torch.rand(8, 3, 16, 16, dtype=torch.float64)
    noise = [
        (got - wanted).std() / wanted.std()
        for got, wanted in zip(chip(scene), ideal(scene), strict=True)
    ]
    assert 0 < noise[2] < noise[0] < 0.5


def test_kernels_on_the_sensor_lie_in_the_middle_of_darkness():
    ideal = branched()
    kernels = ideal.sensor_kernels()
    assert kernels.shape == (9, 3, 9, 9)
    weights = ideal.signed_kernels()
    torch.testing.assert_close(kernels[:2, :, 3:6, 3:6], weights[:2, :, 1:4, 1:4])
    torch.testing.assert_close(kernels[2:5, :, ::2, ::2], weights[2:5])
    torch.testing.assert_close(kernels[5:, :, ::4, ::4], weights[5:, :, 1:4, 1:4])
    torch.testing.assert_close(kernels.sum(), weights.sum())


def test_one_resolution_is_left_as_it_is():
    kernels = torch.randn(2, 3, 5, 5)
    torch.testing.assert_close(spread(kernels, 1), kernels)
    ideal = IdealConvolution(2, 5, 3)
    torch.testing.assert_close(ideal.sensor_kernels(), ideal.signed_kernels())
