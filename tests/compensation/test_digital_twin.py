"""The twin against chips whose optics and camera are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.compensation.conftest import blob_images, smooth_kernels

from hybridonn.compensation.capture_pair import capture_images
from hybridonn.compensation.digital_twin import (
    REACH,
    RIDGE,
    BranchTwin,
    DigitalTwin,
    fit_digital_twin,
)
from hybridonn.data.batches import to_scene
from hybridonn.data.dataset import ImageSet
from hybridonn.networks.frontends.chip_kernels import fabricate_kernels
from hybridonn.networks.frontends.convolution import BranchConvolution
from hybridonn.networks.frontends.frontend import split_signs
from hybridonn.networks.frontends.ideal_convolution import IdealConvolution
from hybridonn.networks.frontends.measured import MeasuredFrontend
from hybridonn.networks.frontends.parallel import ParallelFrontend
from hybridonn.optics.sensor import Sensor
from hybridonn.pipeline.from_spec import lay_out_kernels, read_chip_errors
from hybridonn.spec import Fabrication, Optics


def errors_of(**stated):
    return read_chip_errors(Fabrication.model_validate(stated))


ERRORS = errors_of(
    kernel_noise_fraction=0.3,
    defocus_pixels=0.5,
    brightness_fraction=0.3,
    shift_pixels=0.7,
    rotation_degrees=3,
    crosstalk_fraction=0.1,
)


def make_chip(channels=1, stride=1):
    design = smooth_kernels(channels)
    made = fabricate_kernels([(design, 1)], ERRORS, lay_out_kernels(Optics(), len(design)))
    return design, MeasuredFrontend(made.psfs, made.gains, stride)


def fit_one(captured, design, stride=1):
    """The twin of optics of one branch."""
    optics = BranchConvolution(design, stride, design.shape[-1] // 2)
    (found,) = fit_digital_twin(captured, (optics,)).branches
    return found


def show(count, channels=1, seed=0):
    return ImageSet(blob_images(count, seed, channels), torch.zeros(count, dtype=torch.int64))


def look(twin, images, gains, seed):
    side = -(-28 // twin.stride)
    seen = torch.empty(len(images), len(gains), side, side)
    DigitalTwin((twin,)).capture(images, gains, seed, (seen,))
    return seen


def pad_to(kernels, size):
    return torch.nn.functional.pad(kernels, 4 * ((size - kernels.shape[-1]) // 2,))


@pytest.mark.parametrize(("channels", "stride"), [(1, 1), (3, 1), (1, 2)])
def test_without_noise_a_twin_is_the_chip(channels, stride):
    design, chip = make_chip(channels, stride)
    twin = fit_one(capture_images(chip, show(200 // channels, channels), 0), design, stride)
    new = show(20, channels, seed=7)
    seen = capture_images(chip, new, 0)
    ones = torch.ones(len(design), 2)
    (expected,) = seen.subtract(ones)
    found = look(twin, new, ones, 0)
    assert float((found - expected).norm() / expected.norm()) < 0.01
    assert float(twin.noise[..., 0].max()) < 1e-4 * float(seen.branches[0][:, :, 0].square().mean())


def cut_off(captured, measured):
    """The captures where something was measured, and nonsense elsewhere."""
    (pictures,) = captured.branches
    spoilt = torch.where(measured, pictures, 7.0)
    return replace(captured, branches=(spoilt,), measured=(measured,))


def test_a_twin_is_the_least_squares_of_numpy_in_double_precision():
    design, chip = make_chip()
    captured = capture_images(chip, show(6), 0)
    measured = torch.ones(3, 2, 28, 28, dtype=torch.bool)
    measured[0, 1, :, :3] = False
    twin = fit_one(cut_off(captured, measured), design)
    reach = 7 + 2 * REACH
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(captured.shown.images.numpy() / 255.0, ((0, 0), (0, 0), *((reach // 2,) * 2,) * 2)),
        (reach, reach),
        axis=(2, 3),
    )
    patches = windows[:, 0].reshape(-1, reach**2)
    patches = np.append(patches, np.ones((len(patches), 1)), 1)
    start = pad_to(torch.stack(split_signs(design), 1), reach)
    for sign, pictures in enumerate(captured.branches[0].unbind(2)):
        rows = np.tile(measured[0, sign].numpy().ravel(), 6)
        A, y = patches[rows], pictures[:, 0].numpy().astype(float).ravel()[rows]
        begin = np.append(start[0, sign].numpy().astype(float).ravel(), 0)
        level = RIDGE * (A * A).sum(0).mean()
        more = np.concatenate([A, np.sqrt(level) * np.eye(len(begin))])
        right = np.concatenate([y - A @ begin, np.zeros(len(begin))])
        wanted = begin + np.linalg.lstsq(more, right)[0]
        found = np.append(twin.kernels[0, sign].numpy().ravel(), float(twin.offsets[0, sign]))
        np.testing.assert_allclose(found, wanted, atol=2e-4 * np.abs(wanted).max())


def test_a_twin_goes_on_beyond_the_frame_as_captures_do():
    design, chip = make_chip()
    measured = torch.ones(3, 2, 28, 28, dtype=torch.bool)
    measured[:, :, :, :3] = False
    twin = fit_one(cut_off(capture_images(chip, show(100), 0), measured), design)
    seen = twin.pictures(to_scene(show(5, seed=7).images))
    torch.testing.assert_close(seen[..., :3], seen[..., 3:4].expand(-1, -1, -1, -1, 3))
    truth = chip.pictures(to_scene(show(5, seed=7).images))
    truth = torch.einsum("bkschw,ksc->bkshw", truth, chip.gains)[..., 3:]
    assert float((seen[..., 3:] - truth).norm() / truth.norm()) < 0.01


def test_a_twin_of_branches_is_the_chip_of_branches():
    torch.manual_seed(0)
    parts = [IdealConvolution(2, 3, 2), IdealConvolution(3, 3, 2)]
    ideal = ParallelFrontend(parts, (1, 4))
    chip = ideal.fabricate(ERRORS, lay_out_kernels(Optics(), 5))
    gains = torch.rand(5, 2) + 0.5
    twin = fit_digital_twin(capture_images(chip, show(120, 2), 0), ideal.convolutions())
    new = show(20, 2, seed=7)
    expected = capture_images(chip, new, 0).subtract(gains)
    found = tuple(torch.empty_like(one) for one in expected)
    twin.capture(new, gains, 0, found)
    assert [one.shape[1:] for one in found] == [(2, 28, 28), (3, 7, 7)]
    for one, other in zip(found, expected, strict=True):
        assert float((one - other).norm() / other.norm()) < 0.02


def test_shot_noise_is_found():
    camera = Sensor(2000.0, 0.0, None, 1.0, (1,))
    design, chip = make_chip()
    twin = fit_one(capture_images(chip, show(400), 0, camera), design)
    white = float(chip.psfs.sum((-1, -2)).max())  # fills the well of 2000 electrons
    gains = chip.gains[..., 0]
    torch.testing.assert_close(twin.noise[..., 1], gains * white / 2000, rtol=0.1, atol=0)
    # What smooth images cannot tell of the kernels they do not need either.
    scene = to_scene(show(20, seed=7).images)
    clear = torch.einsum("bkschw,ksc->bkshw", chip.pictures(scene), chip.gains)
    assert float((twin.pictures(scene) - clear).norm() / clear.norm()) < 0.01


def test_what_a_twin_sees_has_the_spread_of_what_the_chip_sees():
    camera = Sensor(500.0, 10.0, 8, 1.0, (1,))
    design, chip = make_chip()
    twin = fit_one(capture_images(chip, show(400), 0, camera), design)
    new, gains = show(100, seed=5), torch.tensor([[1.0, 0.5], [2.0, 1.0], [0.7, 1.3]])
    (clear,) = capture_images(chip, new, 0).subtract(gains)
    truly = capture_images(chip, new, 1, camera).subtract(gains)[0] - clear
    twins = look(twin, new, gains, 1) - clear
    for kernel in range(3):
        ratio = twins[:, kernel].std() / truly[:, kernel].std()
        assert float(ratio) == pytest.approx(1, abs=0.05)


def test_few_captures_leave_the_design_where_they_say_nothing():
    design = smooth_kernels()
    dark = ImageSet(torch.zeros(3, 1, 28, 28, dtype=torch.uint8), torch.zeros(3).long())
    chip = MeasuredFrontend(torch.stack(split_signs(design), 1).flip(-1, -2))
    dark.images[:, :, :, :5] = 1  # not quite: the squared mean must not be zero
    twin = fit_one(capture_images(chip, dark, 0), design)
    wanted = pad_to(torch.stack(split_signs(design), 1), 7 + 2 * REACH)
    torch.testing.assert_close(twin.kernels, wanted, rtol=1e-3, atol=1e-3)


def test_the_seed_alone_decides_the_noise():
    twin = BranchTwin(torch.zeros(2, 2, 1, 3, 3), torch.zeros(2, 2), torch.ones(2, 2, 2), 1, 1)
    ones, some = torch.ones(2, 2), show(600)
    first, again, other = (look(twin, some, ones, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert float(first.std()) == pytest.approx(2**0.5, rel=0.01)  # of two captures
