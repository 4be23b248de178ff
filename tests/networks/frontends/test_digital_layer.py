"""A digital convolution in place of the optics."""

import pytest
import torch

from hybridonn import spec
from hybridonn.core.errors import OpticsError, SpecError
from hybridonn.deployment.cost import count_costs
from hybridonn.networks.frontends.behind_camera import BehindCamera
from hybridonn.networks.frontends.lens import LensFrontend
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.networks.student import build_student
from hybridonn.optics.sensor import Sensor
from hybridonn.spec import read_spec

SHAPE = (1, 12, 12)


def build(optics, **keys):
    student = spec.Student(
        kernels=4, kernel_size=5, pooled_size=3, hidden=(8,), optics=optics, **keys
    )
    return build_student(student, SHAPE, 10, seed=3)


def scene():
    return torch.rand(2, *SHAPE, generator=torch.Generator().manual_seed(0))


def test_it_begins_as_the_student_behind_ideal_optics_does():
    digital, ideal = build("none"), build("trained")
    assert torch.equal(digital(scene()), ideal(scene()))
    assert torch.equal(digital.frontend.sensor_kernels(), ideal.frontend.sensor_kernels())
    assert all(one.requires_grad for one in digital.parameters())


def test_electronics_compute_all_of_it_behind_a_lens():
    network = build("none")
    divided = network.divide()
    assert isinstance(divided.frontend, LensFrontend)
    assert divided.shape_features(SHAPE) == (SHAPE,)
    torch.testing.assert_close(divided(scene()), network(scene()))
    behind_optics = build("trained")
    assert behind_optics.divide().frontend is behind_optics.frontend


def test_branches_are_convolutions_of_averaged_images():
    stated = spec.Student(
        branches=[{"kernels": 2}, {"kernels": 3, "binning": 2}],
        backend="coarse_fine",
        hidden=(2, 2),
        optics="none",
    )
    network = build_student(stated, SHAPE, 1, 0).eval()
    torch.testing.assert_close(network.divide()(scene()), network(scene()))


def test_its_multiply_accumulates_and_its_image_are_those_of_a_digital_network():
    teacher = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(144, 10))
    digital, optical = (
        count_costs(teacher, build(optics), SHAPE, 8) for optics in ("none", "trained")
    )
    convolution, dense = 144 * 4 * 25, 4 * 9 * 8 + 8 * 10
    assert [one.macs for one in digital[1:]] == [convolution + dense] * 2
    assert [one.macs for one in optical[1:]] == [convolution + dense, dense]
    assert (digital[2].pixels, optical[2].pixels) == (144, 2 * 4 * 144)
    assert (digital[2].optical, optical[2].optical) == (False, True)
    assert digital[2].label == "the network behind a lens"


def test_the_noise_of_the_camera_is_that_of_the_image():
    network, camera = build("none").eval(), Sensor(1000.0, 5.0, 2, 1.0, (1,))
    rounded = (scene() * 3).round() / 3  # two bits
    seen = HybridNetwork(BehindCamera(network.frontend, camera), network.backend).eval()
    torch.testing.assert_close(seen(scene()), network(rounded))


def test_there_is_no_light_of_its_kernels_and_no_chip():
    frontend = build("none").frontend
    with pytest.raises(OpticsError, match=r"no light of its kernels.*optics to trained"):
        frontend.light(scene())


@pytest.mark.parametrize(
    "key",
    [
        "optics.metasurface={}",
        "fabrication.preset=paper-mnist",
        "optics.frontend=lens",
        "compensation={}",
    ],
)
def test_what_needs_optics_is_refused(key):
    with pytest.raises(SpecError, match=r"student.optics is none.*but .* is set; without optics"):
        read_spec(None, ("student.optics=none", "student.kernels=1", key))
