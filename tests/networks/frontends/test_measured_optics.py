"""A student behind optics that exist, whose point spread functions were measured."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hybridonn import spec
from hybridonn.core.errors import SpecError
from hybridonn.networks.frontends.measured_optics import tell_measured
from hybridonn.networks.student import build_frontend, build_student
from hybridonn.optics.fabrication.chip_errors import ChipErrors
from hybridonn.optics.layout.sites import lay_out
from hybridonn.optics.sensor import Sensor
from hybridonn.pipeline.from_spec import read_surface_size

CAMERA = Sensor(100.0, 20.0, 8, 1.0, (1,))


def state(folder, psfs, pixels=1.0):
    np.save(folder / "psfs.npy", psfs)
    measured = spec.Measured(psfs=folder / "psfs.npy", pixels_per_scene_pixel=pixels)
    return spec.Optics(frontend="measured", measured=measured)


def build(folder, psfs, channels=1, pixels=1.0, **student):
    kernels = {"kernels": len(psfs) if psfs.ndim > 2 else 1} if "branches" not in student else {}
    made = spec.Student(**kernels, **student)
    return build_frontend(made, (channels, 8, 8), state(folder, psfs, pixels))


def scene(channels=1):
    return torch.rand(2, channels, 8, 8, generator=torch.Generator().manual_seed(0))


def test_a_point_shows_what_was_measured_about_its_centroid_with_the_contrast_of_a_lens(tmp_path):
    psf, point = np.zeros((4, 5)), torch.zeros(1, 1, 8, 8)
    psf[1, 1] = psf[2, 4] = psf[3, 1] = 7.0  # their centroid is (2, 2)
    point[..., 4, 4] = 1
    wanted = torch.zeros(8, 8)
    wanted[3, 3] = wanted[4, 6] = wanted[5, 3] = 3**-0.5
    (seen,) = build(tmp_path, psf)(point)
    torch.testing.assert_close(seen[0, 0], wanted)


def test_a_kernel_without_a_negative_is_read_out_once(tmp_path):
    psfs = np.ones((2, 2, 3, 3))
    psfs[1, 1] = 0
    psfs[0, 1] = 0.5
    frontend = build(tmp_path, psfs)
    assert (frontend.exposures, build(tmp_path, psfs[1:]).exposures) == (2, 1)
    (both,) = frontend.capture(scene(), CAMERA, torch.Generator().manual_seed(0))
    assert both[:, 0, 1].any()
    assert not both[:, 1, 1].any()
    layout = lay_out(read_surface_size(spec.Optics()), 2)
    errors = ChipErrors(0, {"crosstalk_fraction": 0.2, "kernel_noise_fraction": 0.3})
    made = frontend.fabricate(errors, layout).with_gains(torch.full((2, 2), 2.0))
    (both,) = made.capture(scene(), CAMERA, torch.Generator().manual_seed(0))
    assert both[:, 0, 1].any()
    assert not both[:, 1, 1].any()
    assert not torch.allclose(made.signed_kernels()[0, 0, :3, :3], frontend.signed_kernels()[0, 0])


def test_branches_are_read_out_at_their_binnings(tmp_path):
    branches = [{"kernels": 1}, {"kernels": 2, "binning": 2}]
    psfs = np.random.default_rng(0).random((3, 2, 5, 5))
    fine, coarse = build(tmp_path, psfs, branches=branches, backend="coarse_fine", hidden=(2, 2))(
        scene()
    )
    assert (fine.shape, coarse.shape) == ((2, 1, 8, 8), (2, 2, 4, 4))
    (whole,) = build(tmp_path, psfs)(scene())
    torch.testing.assert_close(fine, whole[:, :1])
    torch.testing.assert_close(coarse, F.avg_pool2d(whole[:, 1:], 2))


def test_nothing_of_it_trains_and_a_seed_changes_nothing_of_it(tmp_path):
    optics = state(tmp_path, np.ones((3, 3)))
    made = [build_student(spec.Student(kernels=1), (1, 8, 8), 10, s, optics) for s in (0, 1)]
    assert not list(made[0].frontend.parameters())
    assert torch.equal(made[0].frontend.psfs, made[1].frontend.psfs)


def test_what_became_of_it_is_told(tmp_path):
    psf = np.full((9, 11), 0.01)
    psf[4, 2] = 1
    told = " ".join(tell_measured(spec.Student(kernels=1), (1, 8, 8), state(tmp_path, psf, 2)))
    assert "1 kernel, 0 of them with a negative sign, on 7 x 7 pixels of the scene" in told
    assert "kernel 0: row 4.0, column 3.5" in told
    assert "lie 1 % of its brightest value" in told


@pytest.mark.parametrize(
    ("psfs", "student", "message"),
    [
        (np.ones((3, 5, 5)), {"kernels": 2}, "has 3 kernels, but student.kernels is 2; set .* 3"),
        (
            np.ones((3, 5, 5)),
            {"branches": [{"kernels": 1}, {"kernels": 1, "binning": 2}]},
            "has 3 kernels, but the kernels of student.branches add up to 2; set them to 3",
        ),
        (np.zeros((5, 5)), {"kernels": 1}, "are dark"),
        (np.eye(5) - 0.5, {"kernels": 1}, "light is not negative; state a lower background"),
        (np.ones(5), {"kernels": 1}, "allowed are"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_key(tmp_path, psfs, student, message):
    more = {"backend": "coarse_fine", "hidden": (2, 2)} if "branches" in student else {}
    with pytest.raises(SpecError, match=rf"^optics\.measured\.psfs: .*{message}"):
        build_frontend(spec.Student(**student, **more), (1, 8, 8), state(tmp_path, psfs))


def test_a_measurement_that_may_be_saturated_is_told(tmp_path):
    rows, columns = np.mgrid[-10:11, -10:11]  # 45 of them within a radius of sqrt(20 ln 2)
    psf = np.exp(-(rows**2 + columns**2) / 20)
    student, shape = spec.Student(kernels=1), (1, 8, 8)
    right = tell_measured(student, shape, state(tmp_path, psf, 3.0))
    cut = tell_measured(student, shape, state(tmp_path, psf.clip(0, 0.5), 3.0))
    assert not any("saturated" in line for line in right)
    assert cut[-1].startswith("45 measured pixels hold the largest value: if the camera was satur")


def test_a_file_that_is_not_there_is_refused(tmp_path):
    optics = state(tmp_path, np.ones((3, 3)))
    (tmp_path / "psfs.npy").unlink()
    with pytest.raises(SpecError, match=r"optics\.measured\.psfs: .*psfs\.npy cannot be read"):
        build_frontend(spec.Student(kernels=1), (1, 8, 8), optics)
