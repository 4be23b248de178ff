"""Few camera pixels, few bits and noise between optics and backend."""

import pytest
import torch
from torch.nn import functional as F

from hybridonn.networks.frontends.coarse_read_out import CoarseReadOut
from hybridonn.networks.frontends.ideal_convolution import IdealConvolution
from hybridonn.networks.frontends.lens import LensFrontend
from hybridonn.optics.sensor import Sensor

COLOURS, KERNELS = 2, 3
PERFECT = Sensor(1e9, 0.0, None, 1.0, (1, 1))
SCENE = torch.rand(4, COLOURS, 8, 8, generator=torch.Generator().manual_seed(0))


def ideal():
    torch.manual_seed(0)
    return IdealConvolution(KERNELS, 3, COLOURS)


@pytest.mark.parametrize("optics", [ideal(), LensFrontend(COLOURS)])
def test_a_perfect_camera_gives_the_mean_of_the_features(optics):
    (seen,) = CoarseReadOut(optics, 4, PERFECT)(SCENE)
    torch.testing.assert_close(seen, F.adaptive_avg_pool2d(optics(SCENE)[0], 4))


def test_a_lens_reads_one_picture_a_colour_and_kernels_two():
    assert CoarseReadOut(LensFrontend(COLOURS), 4, PERFECT).count_numbers() == COLOURS * 16
    assert CoarseReadOut(ideal(), 4, PERFECT).count_numbers() == 2 * KERNELS * COLOURS * 16


def test_the_numbers_of_a_lens_are_rounded_to_the_bits_of_the_camera():
    camera = Sensor(1e9, 0.0, 2, 1.0, (1, 1))
    (seen,) = CoarseReadOut(LensFrontend(COLOURS), 4, camera)(SCENE)
    torch.testing.assert_close(3 * seen, (3 * seen).round())


def test_kernels_train_through_the_rounding_and_are_not_left_alone_by_it():
    optics = ideal()
    (seen,) = CoarseReadOut(optics, 4, Sensor(1e9, 0.0, 3, 1.0, (1, 1)))(SCENE)
    seen.square().sum().backward()
    assert optics.convolution.weight.grad.abs().sum() > 0
    exact = F.adaptive_avg_pool2d(optics(SCENE)[0], 4)
    assert (seen - exact).abs().max() > 0.01


def test_noise_acts_where_there_is_a_generator_and_only_on_what_is_read():
    read_out = CoarseReadOut(LensFrontend(COLOURS), 4, Sensor(1e6, 1e5, None, 1.0, (1, 1)))
    (quiet,) = read_out(SCENE)
    read_out.generator = torch.Generator().manual_seed(0)
    (noisy,) = read_out(SCENE)
    # One image a kernel: the dark ones would add as much again.
    assert (noisy - quiet).std() == pytest.approx(0.1, rel=0.3)
