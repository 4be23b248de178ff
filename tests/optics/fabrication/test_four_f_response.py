"""Amplitude responses of a 4f system with errors of bench and light: closed forms and limits."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from hybridonn.optics.fabrication.bench import straight_bench, stretch
from hybridonn.optics.fabrication.fabricated_four_f import (
    View,
    make_optics,
    take_pictures,
)
from hybridonn.optics.fabrication.four_f_response import respond
from hybridonn.optics.fabrication.light_modes import Mode
from hybridonn.optics.waves.four_f import FourFSystem, response_matrix

SYSTEM = FourFSystem((532e-9, 450e-9), 0.1, 15, 30e-6, 100e-6)
SHAPE = (7, 9)
BENCH = straight_bench(2, 2)
LIGHT = Mode(SYSTEM.wavelengths_m, (0.0, 0.0), 1.0)
D_Y, D_X = (torch.arange(1 - n, n, dtype=torch.float64) for n in SHAPE)


def masks():
    torch.manual_seed(0)
    return torch.randn(2, 2, 2, 15, 15, dtype=torch.complex128) / 3


def respond_with(mask=None, light=LIGHT, system=SYSTEM, **changed):
    mask = masks() if mask is None else mask
    return respond(mask, replace(BENCH, **changed), light, system, SHAPE)


def period(colour):
    return SYSTEM.periods[colour]


def test_the_straight_bench_is_the_law_of_the_design():
    matrix = response_matrix(SYSTEM, 8, torch.complex128)
    rows = matrix[:, 2:15]
    torch.testing.assert_close(respond_with(), rows @ masks() @ matrix.mT)


def test_a_shift_of_the_masks_is_a_linear_phase_of_the_response():
    """The shift theorem; the shape of a scene pixel alone is met at other places."""
    shift_m = torch.tensor([[30e-6, -15e-6], [0.0, 60e-6]], dtype=torch.float64)
    matrix = response_matrix(SYSTEM, 8, torch.complex128)
    for colour in range(2):
        x, y = shift_m[colour] / SYSTEM.mask_pitch_m
        u = torch.arange(15, dtype=torch.float64) - 7
        N = period(colour)
        shape = [torch.sinc((u + at) / N) / torch.sinc(u / N) for at in (y, x)]
        own = matrix[colour, 2:15] * shape[0], matrix[colour] * shape[1]
        wanted = own[0] @ masks()[:, :, colour] @ own[1].mT
        angle = 2 * math.pi * (D_X * x + D_Y[:, None] * y) / N
        wanted = wanted * torch.polar(torch.ones_like(angle), angle)
        torch.testing.assert_close(respond_with(shift_m=shift_m)[:, :, colour], wanted)


def test_a_scaled_mask_is_a_system_of_another_pitch():
    scaled = replace(SYSTEM, mask_pitch_m=SYSTEM.mask_pitch_m * 1.05)
    found = respond_with(scale=torch.full((2,), 0.05, dtype=torch.float64))
    torch.testing.assert_close(found, respond_with(system=scaled))


def test_a_quarter_turn_turns_masks_and_response():
    found = respond(
        masks(), replace(BENCH, angle_radians=torch.full((2,), math.pi / 2)), LIGHT, SYSTEM, (7, 7)
    )
    # A mask pixel at (x, y) comes to (-y, x), as columns and rows count.
    wanted = respond(masks().rot90(-1, (-2, -1)), BENCH, LIGHT, SYSTEM, (7, 7))
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-8)


def test_a_gap_lets_light_pass_undiffracted():
    """Pixels of pi: the zero order is f^2 (-1) + (1 - f^2), f the side of a pixel."""
    gap, pi = 0.1, -torch.ones(2, 2, 2, 15, 15, dtype=torch.complex128)
    opened, shut = respond_with(-pi), respond_with(pi, gap=gap)
    middle = (..., SHAPE[0] - 1, SHAPE[1] - 1)
    share = (shut / opened)[middle].real
    assert torch.allclose(share, torch.full_like(share, 1 - 2 * (1 - gap) ** 2))
    # Of an open mask a gap changes nothing; away from the zero order, pixels have an envelope.
    torch.testing.assert_close(respond_with(-pi, gap=gap), opened)
    d, N = torch.tensor(8.0, dtype=torch.float64), period(0)
    wanted = respond_with(pi - 1, light=LIGHT)[0, 0, 0, SHAPE[0] - 1, -1]
    wanted = wanted * (1 - gap) ** 2 * torch.sinc((1 - gap) * d / N) / torch.sinc(d / N)
    found = (shut - opened)[0, 0, 0, SHAPE[0] - 1, -1]
    torch.testing.assert_close(found, wanted)


def test_a_picture_that_lies_a_pixel_aside_is_the_response_there():
    moved = torch.zeros(2, 2, 2)
    moved[0, 1] = torch.tensor([1.0, -2.0])
    found, design = respond_with(picture_pixels=moved), respond_with()
    torch.testing.assert_close(found[0, 1, :, :-2, 1:], design[0, 1, :, 2:, :-1])
    torch.testing.assert_close(found[1], design[1])


def test_other_light_is_a_system_for_it_whose_masks_have_another_phase():
    light = Mode((540e-9, 450e-9), (0.0, 0.0), 1.0)
    system = replace(SYSTEM, wavelengths_m=light.wavelengths_m)
    own = masks()
    turned = torch.polar(own.abs(), own.angle() * 532 / 540)
    found = respond_with(light=light)
    torch.testing.assert_close(found[:, :, 0], respond_with(turned, light, system)[:, :, 0])
    torch.testing.assert_close(found[:, :, 1], respond_with()[:, :, 1])


def test_a_tilt_of_the_light_moves_the_spectrum_over_the_masks():
    tilt = 3e-4  # moves it by f tilt = one mask pixel
    found = respond_with(light=Mode(SYSTEM.wavelengths_m, (tilt, 0.0), 1.0))
    shift_m = torch.tensor([[30e-6, 0.0], [30e-6, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(found, respond_with(shift_m=shift_m))


def test_an_aberration_is_the_phase_of_its_polynomial():
    waves = torch.zeros(2, 6, dtype=torch.float64)
    waves[0, 2] = 0.2  # astigmatism: sqrt(6) (x^2 - y^2) over the circle around the mask
    u = (torch.arange(15, dtype=torch.float64) - 7) / (15 / math.sqrt(2))
    turns = 0.2 * math.sqrt(6) * (u.square() - u.square()[:, None])
    mask = masks() * torch.polar(torch.ones_like(turns), 2 * math.pi * turns)
    found = respond_with(waves=waves)
    torch.testing.assert_close(found[:, :, 0], respond_with(mask)[:, :, 0])
    torch.testing.assert_close(found[:, :, 1], respond_with()[:, :, 1])


def test_lenses_of_another_focal_length_do_what_propagation_does():
    """Against free space and thin lenses, step by step on one fine grid, in one dimension.

    A row of scene pixels, a mask of one row, Fresnel's transfer function (Goodman 2005, equation
    4-20): scene, f, lens f (1 + e), f, mask, f, lens, f, sensor.
    """
    error, wavelength, f = 0.05, 532e-9, 0.1
    n, step = 2**14, 2e-6
    x = (torch.arange(n, dtype=torch.float64) - n // 2) * step
    nu = torch.fft.fftfreq(n, step, dtype=torch.float64)
    free = torch.exp(-1j * math.pi * wavelength * f * nu.square())
    lens = torch.exp(-1j * math.pi * x.square() / (wavelength * f * (1 + error)))

    def arm(field):
        for _ in range(2):
            field = torch.fft.ifft(torch.fft.fft(torch.fft.ifftshift(field)) * free)
            field = torch.fft.fftshift(field)
            if _ == 0:
                field = field * lens
        return field

    torch.manual_seed(1)
    scene, mask = torch.rand(9, dtype=torch.float64), masks()[0, 0, 0, 7]

    def spread(values, pitch):
        place = torch.floor(x / pitch + len(values) / 2).long()
        inside = (place >= 0) & (place < len(values))
        return torch.where(inside, values[place.clamp(0, len(values) - 1)], 0)

    field = arm(arm(spread(scene, 100e-6) + 0j) * spread(mask, 30e-6))
    # The image stands on its head.
    at = [int((-(d - 4) * 100e-6 / step).__round__()) + n // 2 for d in range(9)]
    seen = torch.stack([field[i].abs() for i in at])
    bench = replace(straight_bench(1, 1), focal=torch.full((1,), error, dtype=torch.float64))
    system = replace(SYSTEM, wavelengths_m=(wavelength,))
    row = torch.zeros(1, 2, 1, 15, 15, dtype=torch.complex128)
    row[0, :, 0, 7] = mask
    light = Mode((wavelength,), (0.0, 0.0), 1.0)
    optics = make_optics(row, bench, [light], system, View((1, 9), 3))
    found = take_pictures(scene.view(1, 1, 1, 9), optics.transfers, optics.curve)[0, 0, 0, 0].sqrt()
    found, seen = found / found.norm(), seen / seen.norm()
    assert float((found - seen).norm()) < 0.02
    straight = make_optics(row, straight_bench(1, 1), [light], system, View((1, 9), 3))
    design = take_pictures(scene.view(1, 1, 1, 9), straight.transfers, None)[0, 0, 0, 0].sqrt()
    assert float((design / design.norm() - seen).norm()) > 0.1


def test_focal_length_stretches_the_fourier_plane_only_a_little():
    assert float(stretch(torch.tensor(0.0))) == 1
    assert float(stretch(torch.tensor(0.01))) == pytest.approx(1.01, abs=2e-4)


def test_modes_of_many_wavelengths_are_the_mean_of_their_pictures():
    lights = [Mode((w, 450e-9), (0.0, 0.0), 0.5) for w in (520e-9, 540e-9)]
    view, scene = View(SHAPE, 3), torch.rand(1, 2, *SHAPE, dtype=torch.float64)
    both = make_optics(masks(), BENCH, lights, SYSTEM, view)
    each = [make_optics(masks(), BENCH, [replace(one, weight=1.0)], SYSTEM, view) for one in lights]
    pictures = [take_pictures(scene, one.transfers, one.curve) for one in (both, *each)]
    torch.testing.assert_close(pictures[0], (pictures[1] + pictures[2]) / 2, rtol=1e-3, atol=1e-6)


def test_the_transfer_is_the_convolution_with_the_response():
    h, scene = respond_with(), torch.rand(1, 2, *SHAPE, dtype=torch.float64)
    optics = make_optics(masks(), BENCH, [LIGHT], SYSTEM, View(SHAPE, 3))
    weight = h[0, 1].flip(-2, -1)[:, None]
    light = scene.to(weight.dtype)
    fields = F.conv2d(light, weight, padding=(SHAPE[0] - 1, SHAPE[1] - 1), groups=2)
    wanted = torch.view_as_real(fields).square().sum((-1, 1))
    torch.testing.assert_close(take_pictures(scene, optics.transfers, None)[:, 0, 1], wanted)
