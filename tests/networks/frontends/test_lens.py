"""A plain lens shows the scene as it is, and takes as many kernels as the images have channels."""

import pytest
import torch

from hybridonn import spec
from hybridonn.core.errors import SpecError
from hybridonn.networks.student import build_frontend, build_student
from hybridonn.optics.sensor import Sensor
from hybridonn.spec import read_spec

LENS = spec.Optics(frontend="lens")


def lens(channels=3, **student):
    return build_frontend(spec.Student(kernels=channels, **student), (channels, 8, 8), LENS)


def scene(channels=3, side=8):
    return torch.rand(2, channels, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_every_kernel_shows_the_pixels_of_its_channel(stride):
    (found,) = lens(stride=stride)(scene())
    assert torch.equal(found, scene()[:, :, ::stride, ::stride])


def test_a_branch_shows_the_mean_of_its_pixels():
    branches = [{"kernels": 3}, {"kernels": 3, "binning": 4}]
    student = spec.Student(branches=branches, backend="pyramid", hidden=(2, 2))
    fine, coarse = build_frontend(student, (3, 8, 8), LENS)(scene())
    assert torch.equal(fine, scene())
    torch.testing.assert_close(coarse[:, :, 0, 0], scene()[:, :, :4, :4].mean((2, 3)))


def test_its_negative_picture_is_dark():
    (both,) = lens().capture(scene())
    assert torch.equal(both[:, :, 0], scene())
    assert not both[:, :, 1].any()


def test_only_the_picture_that_a_lens_takes_has_the_noise_of_the_camera():
    camera = Sensor(100.0, 20.0, 8, 1.0, (1, 1, 1))
    (both,) = lens(3).capture(scene(3), camera, torch.Generator().manual_seed(0))
    assert not torch.equal(both[:, :, 0], scene(3))
    assert not both[:, :, 1].any()


def test_lenses_of_branches_see_binned_pixels_of_the_camera_and_no_negative():
    branches = [{"kernels": 1}, {"kernels": 1, "binning": 2}]
    student = spec.Student(branches=branches, backend="pyramid", hidden=(2, 2))
    optics = build_frontend(student, (1, 8, 8), LENS)
    pairs = zip(optics.capture(scene()), optics(scene()), strict=True)
    for both, image in pairs:
        torch.testing.assert_close(both[:, :, 0] - both[:, :, 1], image)
        assert not both[:, :, 1].any()


def test_no_weight_of_the_student_is_in_it_and_none_is_saved():
    student = build_student(spec.Student(kernels=1), (1, 8, 8), 10, 0, LENS)
    assert not any(name.startswith("frontend.") for name in student.state_dict())
    assert not list(student.frontend.parameters())


def test_another_number_of_kernels_is_refused_with_the_right_one():
    words = "channel of the images, but student.kernels is 8; set student.kernels to 1"
    with pytest.raises(SpecError, match=words):
        build_student(spec.Student(), (1, 8, 8), 10, 0, LENS)
    branches = [{"kernels": 3}, {"kernels": 2, "binning": 2}]
    student = spec.Student(branches=branches, backend="pyramid", hidden=(2, 2))
    with pytest.raises(SpecError, match=r"branches\.1\.kernels is 2; set .* to 3"):
        build_frontend(student, (3, 8, 8), LENS)


@pytest.mark.parametrize("section", ["optics.metasurface", "fabrication"])
def test_no_chip_is_made_of_a_lens(section):
    with pytest.raises(SpecError, match=rf"frontend is lens, but {section} is set"):
        read_spec(None, ("optics.frontend=lens", "student.kernels=1", f"{section}={{}}"))
