"""Measured optics against ideal ones, and captures found again."""

import pytest
import torch

from hybridonn.networks.frontends.frontend import split_signs
from hybridonn.networks.frontends.ideal_convolution import IdealConvolution
from hybridonn.networks.frontends.measured import (
    MeasuredFrontend,
)
from hybridonn.optics.sensor import Sensor


def measured(ideal, **more):
    parts = torch.stack(split_signs(ideal.signed_kernels().detach()), 1)
    return MeasuredFrontend(parts.flip(-1, -2), stride=ideal.convolution.stride[0], **more)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("colours", [1, 3])
def test_perfect_optics_are_the_ideal_convolution(stride, colours):
    ideal = IdealConvolution(5, 7, colours, stride)
    frontend, scene = measured(ideal), torch.rand(2, colours, 13, 12)
    assert torch.allclose(frontend(scene)[0], ideal(scene)[0], atol=1e-5)
    assert torch.allclose(frontend.signed_kernels(), ideal.signed_kernels())
    positive, negative = frontend.capture(scene)[0].unbind(2)
    assert torch.allclose(positive - negative, ideal(scene)[0], atol=1e-5)
    assert not list(frontend.parameters())


def test_gains_weigh_the_pictures():
    ideal = IdealConvolution(3, 5, 2)
    gains = torch.rand(3, 2, 2)
    frontend, scene = measured(ideal, gains=gains), torch.rand(2, 2, 9, 9)
    pictures = frontend.pictures(scene)
    wanted = (pictures[:, :, 0] * gains[:, 0, :, None, None]).sum(2)
    wanted = wanted - (pictures[:, :, 1] * gains[:, 1, :, None, None]).sum(2)
    assert torch.allclose(frontend(scene)[0], wanted, atol=1e-5)


def test_the_camera_adds_noise_of_its_seed_and_of_no_bias():
    camera = Sensor(1000.0, 5.0, None, 1.0, (1,))
    frontend = measured(IdealConvolution(4, 5, 1))
    scene = torch.full((40, 1, 9, 9), 0.5)
    (first,) = frontend.capture(scene, camera, torch.Generator().manual_seed(1))
    assert torch.equal(first, frontend.capture(scene, camera, torch.Generator().manual_seed(1))[0])
    clean = frontend.pictures(scene).squeeze(3)
    white = frontend.psfs.sum((-1, -2)).max()
    lit = clean > 0.2 * white
    error = ((first - clean) / white)[lit]
    assert error.mean().abs() < 4 * error.std() / len(error) ** 0.5
    variance = ((clean / white)[lit] / 1000 + (5 / 1000) ** 2).mean()
    assert error.var() == pytest.approx(variance.item(), rel=0.1)


def test_a_chip_without_light_is_noise_and_not_nan():
    camera = Sensor(1000.0, 5.0, 8, 1.0, (1,))
    dark = MeasuredFrontend(torch.zeros(2, 2, 1, 3, 3))
    (seen,) = dark.capture(torch.ones(1, 1, 8, 8), camera, torch.Generator().manual_seed(0))
    assert torch.isfinite(seen).all()
