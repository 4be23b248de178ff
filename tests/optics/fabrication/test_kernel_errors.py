"""A chip against its design: each error by what it must do, and by what it must leave."""

from dataclasses import replace

import pytest
import torch
from scipy import ndimage

from hybridonn.core.errors import OpticsError
from hybridonn.optics.fabrication import kernel_errors as fabrication
from hybridonn.optics.fabrication.chip_errors import draw
from hybridonn.optics.fabrication.kernel_errors import (
    ChipPsfs,
    add_delta,
    blur,
    fabricate,
    misalign,
    resample,
)
from hybridonn.pipeline.from_spec import lay_out_kernels, read_chip_errors
from hybridonn.spec import Fabrication, Optics


def errors_of(**stated):
    return read_chip_errors(Fabrication.model_validate(stated))


ALL = {
    "kernel_noise_fraction": 0.2,
    "brightness_fraction": 0.1,
    "shift_pixels": 0.3,
    "rotation_degrees": 2.0,
    "defocus_pixels": 0.4,
    "crosstalk_fraction": 0.05,
}


@pytest.fixture
def design():
    psfs = torch.rand(4, 2, 3, 7, 7, generator=torch.Generator().manual_seed(0))
    return ChipPsfs(psfs, torch.ones(4, 2, 3), lay_out_kernels(Optics(), 4))


def test_no_errors_leave_the_design(design):
    assert torch.equal(fabricate(design, errors_of(seed=3)).psfs, design.psfs)


def test_the_same_seed_is_the_same_chip_and_another_is_another(design):
    first = fabricate(design, errors_of(**ALL, seed=1)).psfs
    assert torch.equal(first, fabricate(design, errors_of(**ALL, seed=1)).psfs)
    assert not torch.allclose(first, fabricate(design, errors_of(**ALL, seed=2)).psfs)
    assert first.min() >= 0


@pytest.mark.parametrize("name", ALL)
def test_every_error_can_be_switched_on_alone(design, name):
    made = fabricate(design, errors_of(**{name: ALL[name]})).psfs
    margin = (made.shape[-1] - 7) // 2
    assert not torch.allclose(made, torch.nn.functional.pad(design.psfs, 4 * (margin,)))


def test_an_error_has_draws_of_its_own(design):
    # Brightness is the same factor whether there is kernel noise or not.
    bright = errors_of(brightness_fraction=0.1)
    factor = fabricate(design, bright).psfs / design.psfs
    both = fabricate(design, errors_of(brightness_fraction=0.1, kernel_noise_fraction=0.2)).psfs
    noisy = add_delta(design.psfs, errors_of(kernel_noise_fraction=0.2))
    seen = noisy > 1e-3
    assert torch.allclose((both / noisy)[seen], factor[seen], rtol=1e-4)


def test_delta_has_the_stated_size():
    psfs = torch.full((8, 2, 1, 31, 31), 10.0)
    delta = add_delta(psfs, errors_of(kernel_noise_fraction=0.01)) - psfs
    rms = (2 * 10.0**2) ** 0.5  # of the signed kernel's two parts together
    assert delta.std() == pytest.approx(0.01 * rms, rel=0.02)


def test_resample_agrees_with_scipy():
    picture = torch.zeros(1, 1, 21, 21, dtype=torch.float64)
    picture[0, 0, 6:15, 8:12] = torch.rand(9, 4, dtype=torch.float64)
    angle = torch.tensor([0.3], dtype=torch.float64)
    shift = torch.zeros(1, 2, dtype=torch.float64)
    ours = resample(picture, shift, angle)[0, 0].numpy()
    cos, sin = torch.cos(angle).item(), torch.sin(angle).item()
    # (row, column) of the source of each pixel: anticlockwise with rows counted downwards.
    matrix = [[cos, sin], [-sin, cos]]
    offset = [10 - 10 * cos - 10 * sin, 10 + 10 * sin - 10 * cos]
    theirs = ndimage.affine_transform(picture[0, 0].numpy(), matrix, offset, order=1)
    assert abs(ours - theirs).max() < 1e-9


def test_a_whole_shift_goes_right_and_down():
    picture = torch.zeros(1, 1, 9, 9)
    picture[0, 0, 4, 4] = 1
    moved = resample(picture, torch.tensor([[2.0, 1.0]]), torch.zeros(1))
    assert moved[0, 0, 5, 6] == pytest.approx(1, abs=1e-5)


def test_blur_keeps_the_light_and_widens_by_its_variance():
    picture = torch.zeros(1, 2, 41, 41, dtype=torch.float64)
    picture[..., 20, 20] = 1
    seen = blur(picture, torch.tensor([1.5, 3.0], dtype=torch.float64))
    place = torch.arange(41, dtype=torch.float64) - 20
    for colour, width in enumerate((1.5, 3.0)):
        assert seen[0, colour].sum() == pytest.approx(1, abs=1e-9)
        variance = (seen[0, colour].sum(0) * place.square()).sum()
        assert variance == pytest.approx(width**2, rel=0.05)  # cut off at three standard deviations


def test_a_new_source_of_errors_leaves_the_draws_of_all_others(monkeypatch, design):
    # Draws were once numbered by a list of the errors: one more changed every chip.
    errors = errors_of(**ALL, seed=5)
    before, tilts = fabricate(design, errors).psfs, []

    def add_tilt(psfs, errors, layout):
        tilts.append(draw("tilt", psfs.shape[:2], errors))
        return misalign(psfs, errors, layout)

    monkeypatch.setattr(fabrication, "misalign", add_tilt)
    assert torch.equal(fabricate(design, errors).psfs, before)
    others = [draw(name, tilts[0].shape, errors) for name in ("delta", "shift", "brightness")]
    assert not any(torch.allclose(tilts[0], other) for other in others)


def test_a_design_is_made_on_a_layout_of_its_kernels(design):
    few = replace(design, layout=lay_out_kernels(Optics(), 3))
    with pytest.raises(OpticsError, match="places 3 kernels, but there are 4"):
        fabricate(few, errors_of(crosstalk_fraction=0.1))


def test_a_preset_fills_in_what_is_not_stated():
    stated = errors_of(preset="paper-mnist", shift_pixels=0.0)
    assert stated["shift_pixels"] == 0
    assert stated["kernel_noise_fraction"] > 0
