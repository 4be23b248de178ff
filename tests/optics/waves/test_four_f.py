import math
import warnings

import pytest
import torch
from torch.nn import functional as F

from hybridonn.core.errors import OpticsError, SamplingError
from hybridonn.optics.waves.four_f import (
    FourFSystem,
    check_four_f,
    expose,
    response_matrix,
    transfer_matrix,
)
from hybridonn.optics.waves.propagation import Propagator
from hybridonn.optics.waves.sampling import SamplingWarning
from hybridonn.optics.waves.sources import thin_lens
from hybridonn.spec.four_f import FourF

SYSTEM = FourFSystem((532e-9,), 0.1, 57, 8e-6, 96e-6)
COMPLEX = torch.complex128


def draw(*shape, dtype=COMPLEX, seed=0):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def relative(found, expected):
    return float((found - expected).norm() / expected.norm())


def test_the_scale_is_that_of_the_fourier_plane():
    assert SYSTEM.periods == pytest.approx([532e-9 * 0.1 / (8e-6 * 96e-6)])
    twice = FourFSystem((450e-9, 635e-9), 0.1, 57, 8e-6, 96e-6, magnification=2.0)
    assert twice.sensor_pitch_m == pytest.approx(192e-6)
    assert twice.periods[1] / twice.periods[0] == pytest.approx(635 / 450)


@pytest.mark.parametrize("pixels", [20, 21])
def test_the_response_is_the_integral_over_the_mask(pixels):
    """A dense sum over the mask's plane, each of its pixels cut into 400."""
    system = FourFSystem((532e-9,), 0.01, pixels, 16e-6, 12e-6)
    mask = draw(pixels)
    found = response_matrix(system, 9, COMPLEX)[0] @ mask
    fine = (torch.arange(400 * pixels, dtype=torch.float64) + 0.5) / 400 - pixels / 2
    x_m, step_m = fine * 16e-6, 16e-6 / 400
    f = x_m / (532e-9 * 0.01)
    at_m = torch.arange(-9, 10, dtype=torch.float64)[:, None] * 12e-6
    wave = torch.polar(torch.ones_like(at_m * f), 2 * math.pi * at_m * f)
    middle = f.unflatten(0, (-1, 400)).mean(1).repeat_interleave(400)
    for at, tolerance in ((middle, 1e-5), (f, 5e-3)):  # the scene pixel's shape, as taken, and true
        light = mask.repeat_interleave(400) * torch.sinc(at * 12e-6) * 12e-6
        expected = (wave * light).sum(1) * step_m / (532e-9 * 0.01)
        assert relative(found, expected) < tolerance


def test_an_open_mask_shows_the_scene_blurred_by_its_pixels_alone():
    """With M = N the band is a sinc, the shape of a scene's pixel, and nothing else."""
    system = FourFSystem((500e-9,), 0.1, 51, 10e-6, 5e-3 / 51)
    assert system.periods == pytest.approx([51])
    response = response_matrix(system, 25, COMPLEX)[0] @ torch.ones(51, dtype=COMPLEX)
    shape = torch.sinc(torch.arange(-25, 26, dtype=torch.float64) / 51)  # of a mask pixel
    band = torch.fft.fftshift(torch.fft.fft(torch.fft.ifftshift(response / shape)))
    assert relative(band, shape.to(COMPLEX)) < 1e-9  # of a scene pixel: the same sinc


@pytest.mark.parametrize(("size", "samples"), [(12, 23), (12, 24), (9, 32)])
def test_the_transfer_function_is_a_convolution_that_does_not_wrap(size, samples):
    colours = (532e-9, 635e-9)
    system = FourFSystem(colours, 0.1, 21, 8e-6, 96e-6)
    masks = draw(3, 2, 21, 21)
    response = response_matrix(system, 14, COMPLEX)
    matrix = transfer_matrix(response, size, samples)
    scene = draw(2, 2, size, size, dtype=torch.float64).abs()
    found = expose(scene, matrix @ masks @ matrix.mT)
    kernels = (response @ masks @ response.mT).flip(-2, -1)  # conv2d correlates
    expected = 0
    for colour in range(2):
        one = scene[:, colour : colour + 1].to(COMPLEX)
        field = F.conv2d(F.pad(one, (14, 14, 14, 14)), kernels[:, colour : colour + 1])
        expected = expected + field.abs().square()
    assert relative(found, expected) < 1e-12


def test_waves_through_two_lenses_give_the_same_picture():
    """Four propagations, two thin lenses and the mask, in absolute brightness."""
    pitch, wavelength, focus, per_pixel = 8e-6 / 7, 0.5e-6, 4e-3, 7
    system = FourFSystem((wavelength,), focus, 31, 8e-6, 8e-6)
    grid, scene_pixels = (455, 455), 15
    phase = F.interpolate(draw(1, 1, 5, 5, dtype=torch.float64), size=31, mode="bicubic")
    mask = torch.polar(torch.ones(31, 31, dtype=torch.float64), 2 * phase[0, 0])
    scene = draw(scene_pixels, scene_pixels, dtype=torch.float64, seed=1).abs()

    def centred(picture):
        fine = picture.repeat_interleave(per_pixel, 0).repeat_interleave(per_pixel, 1)
        margin = (grid[0] - len(fine)) // 2
        return F.pad(fine, (margin,) * 4).to(COMPLEX)

    lens = thin_lens(grid, pitch, [wavelength], focus, dtype=COMPLEX)
    onward = Propagator(grid, pitch, [wavelength], focus, dtype=COMPLEX)
    field = onward(lens * onward(centred(scene)[None]))
    field = onward(lens * onward(field * centred(mask)))[0].flip(0, 1)
    first = (grid[0] - scene_pixels * per_pixel) // 2 + per_pixel // 2
    at_pixels = slice(first, first + scene_pixels * per_pixel, per_pixel)
    expected = field[at_pixels, at_pixels].abs().square()
    matrix = transfer_matrix(response_matrix(system, 14, COMPLEX), scene_pixels, 32)
    found = expose(scene[None, None], (matrix @ mask[None, None].to(COMPLEX) @ matrix.mT))[0, 0]
    assert relative(found, expected) < 0.02
    assert float(torch.corrcoef(torch.stack([found.ravel(), expected.ravel()]))[0, 1]) > 0.999


def test_gradients_of_masks_and_scene_are_right():
    system = FourFSystem((532e-9, 635e-9), 0.1, 5, 8e-6, 96e-6)
    matrix = transfer_matrix(response_matrix(system, 3, COMPLEX), 4, 8)
    masks = draw(2, 2, 5, 5).requires_grad_()
    scene = draw(1, 2, 4, 4, dtype=torch.float64).abs().requires_grad_()
    assert torch.autograd.gradcheck(lambda m, a: expose(a, matrix @ m @ matrix.mT), (masks, scene))


@pytest.mark.parametrize("size", [8, 28, 32])
def test_the_default_of_the_spec_fits_every_colour(size):
    default = FourF()
    system = FourFSystem(
        (635e-9, 532e-9, 450e-9),
        default.focal_length_mm * 1e-3,
        default.mask_pixels,
        default.mask_pitch_um * 1e-6,
        default.scene_pixel_um * 1e-6,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_four_f(system, (size, size))


def test_a_mask_wider_than_the_band_is_refused_with_a_cure_that_works():
    with pytest.raises(
        SamplingError, match=r"100 pixels .* 69.27 mask pixels .* at most 69 pixels"
    ):
        check_four_f(FourFSystem((532e-9,), 0.1, 100, 8e-6, 96e-6), (28, 28))
    check_four_f(FourFSystem((532e-9,), 0.1, 69, 8e-6, 96e-6), (28, 28))


def test_copies_of_the_picture_on_the_sensor_warn():
    with pytest.warns(SamplingWarning, match=r"copies of the image 69.27 pixels .* at most 5.542"):
        check_four_f(SYSTEM, (100, 100))


def test_a_mask_that_is_too_small_warns():
    with pytest.warns(SamplingWarning, match="image is blurred; use at least 35 mask pixels"):
        check_four_f(FourFSystem((532e-9,), 0.1, 20, 8e-6, 96e-6), (28, 28))


@pytest.mark.parametrize(
    "change",
    [
        {"focal_length_m": 0.0},
        {"mask_pitch_m": math.nan},
        {"wavelengths_m": ()},
        {"wavelengths_m": (-1.0,)},
        {"magnification": math.inf},
        {"mask_pixels": 0},
    ],
)
def test_lengths_that_no_system_can_have(change):
    good = {
        "wavelengths_m": (532e-9,),
        "focal_length_m": 0.1,
        "mask_pixels": 57,
        "mask_pitch_m": 8e-6,
        "scene_pitch_m": 96e-6,
    }
    with pytest.raises(OpticsError, match=r"greater than 0|at least 1"):
        FourFSystem(**(good | change))
