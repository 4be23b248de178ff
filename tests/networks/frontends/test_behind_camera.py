"""A camera acts on what the backend is given."""

import pytest
import torch

from hybridonn.networks.frontends.behind_camera import BehindCamera
from hybridonn.networks.frontends.ideal_convolution import IdealConvolution
from hybridonn.optics.sensor import Sensor

SCENE = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def optics():
    torch.manual_seed(0)
    return IdealConvolution(3, 3, 1).eval()


def test_a_perfect_camera_changes_nothing(optics):
    (seen,) = BehindCamera(optics, Sensor(1e9, 0.0, None, 1.0, (1,)))(SCENE)
    torch.testing.assert_close(seen, optics(SCENE)[0])


@pytest.mark.parametrize(
    ("electrons", "bits", "noise"), [(1e9, 2, False), (50.0, None, True), (50.0, 8, True)]
)
def test_few_bits_or_electrons_change_the_features(optics, electrons, bits, noise):
    generator = torch.Generator().manual_seed(0) if noise else None
    (seen,) = BehindCamera(optics, Sensor(electrons, 5.0, bits, 1.0, (1,)), generator)(SCENE)
    assert (seen - optics(SCENE)[0]).abs().mean() > 0.02
