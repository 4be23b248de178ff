"""Light between planes of any grid against closed forms, an independent code and derivatives."""

import cmath
import math

import pytest
import torch

from hybridonn.core.errors import OpticsError, SamplingError
from hybridonn.optics import (
    Plane,
    Propagator,
    SamplingWarning,
    choose_method,
    gaussian_beam,
    propagate_to,
)

WAVE_M = 0.5e-6


def beam(plane, waist_m, distance_m=0.0):
    y, x = plane.places()
    rayleigh_m = math.pi * waist_m**2 / WAVE_M
    q = distance_m - 1j * rayleigh_m
    squared = (y[:, None] ** 2 + x[None] ** 2).to(torch.complex128)
    turns = torch.exp(1j * math.pi * squared / (WAVE_M * q))
    return turns * (-1j * rayleigh_m / q) * cmath.exp(2j * math.pi * distance_m / WAVE_M)


@pytest.mark.parametrize(
    ("distance_m", "method"), [(0.4e-3, "angular spectrum"), (20e-3, "Fresnel")]
)
def test_a_gaussian_beam_on_a_shifted_and_rescaled_plane(distance_m, method):
    source = Plane((64, 64), 2e-6)
    target = Plane((21, 30), 3.3e-6 if method == "angular spectrum" else 30e-6, (8e-6, -11e-6))
    assert choose_method(source, target, WAVE_M, distance_m).method == method
    found = propagate_to(beam(source, 16e-6), source, target, WAVE_M, distance_m)
    wanted = beam(target, 16e-6, distance_m)
    assert (found - wanted).abs().max() < 2e-3 * wanted.abs().max()


def test_on_one_grid_it_agrees_with_the_propagator():
    plane = Plane((32, 32), 1e-6)
    field = gaussian_beam((32, 32), 1e-6, (WAVE_M,), 5e-6, dtype=torch.complex128)
    known = Propagator((32, 32), 1e-6, (WAVE_M,), 40e-6, dtype=torch.complex128)(field)
    assert torch.allclose(propagate_to(field, plane, plane, WAVE_M, 40e-6), known, atol=1e-9)


def test_a_grating_repeats_itself_at_talbots_distance():
    # z_T = lambda / (1 - sqrt(1 - lambda^2 / a^2)): both orders and the axis are in phase again.
    plane, period_m = Plane((256, 512), 0.5e-6), 8e-6
    y, x = plane.places()
    grating = 1 + 0.5 * torch.cos(2 * math.pi * x / period_m)
    distance_m = WAVE_M / (1 - math.sqrt(1 - (WAVE_M / period_m) ** 2))
    middle = Plane((1, 33), 0.5e-6)
    envelope = torch.exp(-(((y[:, None] / 40e-6) ** 2 + (x / 80e-6) ** 2) ** 2))
    lit = (grating * envelope).to(torch.complex128)
    found = propagate_to(lit, plane, middle, WAVE_M, distance_m).abs()[0]
    wanted = 1 + 0.5 * torch.cos(2 * math.pi * middle.places()[1] / period_m)
    assert (found - wanted).abs().max() < 0.05


def test_behind_a_disc_lies_poissons_spot():
    # On the axis behind an opaque disc of radius a the light is as bright as without it,
    # z^2 / (z^2 + a^2) of it (Babinet and the first Rayleigh-Sommerfeld integral).
    side, pitch_m, radius_m, distance_m = 401, 1e-6, 40e-6, 2e-3
    plane = Plane((side, side), pitch_m)
    y, x = plane.places()
    r = (y[:, None] ** 2 + x[None] ** 2).sqrt()
    disc = ((radius_m - r) / pitch_m + 0.5).clamp(0, 1).to(torch.complex128)
    one = Plane((1, 1), pitch_m)
    behind = cmath.exp(2j * math.pi * distance_m / WAVE_M)
    spot = (
        behind - propagate_to(disc, plane, one, WAVE_M, distance_m, method="angular spectrum")[0, 0]
    )
    assert float(spot.abs() ** 2) == pytest.approx(
        distance_m**2 / (distance_m**2 + radius_m**2), abs=0.03
    )


METHODS = ["angular spectrum", "Rayleigh-Sommerfeld", "Fresnel"]


@pytest.mark.parametrize("one_pitch", [False, True])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.filterwarnings("ignore::hybridonn.optics.SamplingWarning")
def test_everything_has_a_gradient(method, one_pitch):
    field = torch.randn(4, 5, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))

    def carry(field, pitch, out_pitch, shift, wave, distance):
        source = Plane((4, 5), 1e-6 * pitch)
        out_pitch_m = source.pitch_m if one_pitch else 1e-6 * out_pitch
        target = Plane((3, 2), out_pitch_m, (1e-6 * shift, 0.0))
        lengths = (1e-6 * wave, 1e-6 * distance)
        return torch.view_as_real(propagate_to(field, source, target, *lengths, method=method))

    numbers = [
        torch.tensor(value, dtype=torch.float64, requires_grad=True)
        for value in (2.0, 3.1, 0.7, 0.5, 151.3)
    ]
    assert torch.autograd.gradcheck(carry, (field.requires_grad_(), *numbers))


@pytest.mark.parametrize("z_over_a", [4, 10, 25])
def test_on_the_axis_behind_a_round_aperture(z_over_a):
    # The first Rayleigh-Sommerfeld integral in closed form (Osterberg and Smith 1961, Journal of
    # the Optical Society of America 51, 1050): exp(i k z) - z / s exp(i k s), s^2 = z^2 + a^2.
    radius_m, pitch_m = 20e-6, 0.1e-6
    plane = Plane((404, 404), pitch_m)
    y, x = plane.places()
    edge = (radius_m - (y[:, None] ** 2 + x**2).sqrt()) / pitch_m
    z_m = z_over_a * radius_m
    field = (edge + 0.5).clamp(0, 1).to(torch.complex128)
    found = propagate_to(
        field, plane, Plane((1, 1), pitch_m), WAVE_M, z_m, method="Rayleigh-Sommerfeld"
    )
    slant_m = math.hypot(z_m, radius_m)
    wanted = cmath.exp(2j * math.pi * z_m / WAVE_M)
    wanted -= z_m / slant_m * cmath.exp(2j * math.pi * slant_m / WAVE_M)
    assert abs(complex(found[0, 0]) - wanted) < 5e-3


@pytest.mark.parametrize("distance_m", [0.3e-3, -0.3e-3])
def test_transforms_give_the_sum_over_all_pairs(distance_m):
    field = torch.randn(7, 6, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    source, target = Plane((7, 6), 1e-6), Plane((4, 9), 1e-6, (3e-6, -1.7e-6))
    near = Plane((4, 9), 1e-6 * (1 + 1e-12), (3e-6, -1.7e-6))  # one by one
    found, one_by_one = (
        propagate_to(field, source, to, WAVE_M, distance_m, method="Rayleigh-Sommerfeld")
        for to in (target, near)
    )
    assert torch.allclose(found, one_by_one, rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.filterwarnings("ignore::hybridonn.optics.SamplingWarning")
def test_light_that_is_taken_back_is_the_conjugate(method):
    field = torch.randn(5, 5, dtype=torch.complex128, generator=torch.Generator().manual_seed(1))
    planes = (Plane((5, 5), 1e-6), Plane((3, 4), 1.5e-6))
    there = propagate_to(field.conj(), *planes, WAVE_M, 0.2e-3, method=method)
    back = propagate_to(field, *planes, WAVE_M, -0.2e-3, method=method)
    assert torch.allclose(back, there.conj())


def test_the_choice_says_why():
    near = choose_method(Plane((64, 64), 2e-6), Plane((64, 64), 2e-6), WAVE_M, 1e-4)
    assert "100 um apart" in near.reason
    steep = choose_method(Plane((64, 64), 5e-7), Plane((64, 64), 31e-6), WAVE_M, 1e-2)
    assert steep.method == "angular spectrum"
    assert "paraxial phase would be wrong by" in steep.reason
    assert "16,777,216 pairs of samples are too many" in steep.reason
    same = Plane((64, 64), 5e-7)
    exact = choose_method(same, Plane((64, 64), 5e-7, (1e-3, 0.0)), WAVE_M, 2e-3)
    assert exact.method == "Rayleigh-Sommerfeld"
    assert "paraxial phase would be wrong by" in exact.reason


def test_a_long_narrow_plane_whose_kernels_are_not_sampled_is_given_to_no_integral():
    # Along its short axis the angular spectrum is not sampled, along its long axis the chirp
    # of Fresnel's integral is not, though its paraxial phase is right.
    plane = Plane((4, 105), 10e-6)
    choice = choose_method(plane, plane, WAVE_M, 40e-3)
    assert choice.method == "angular spectrum"
    assert "not sampled by a pitch of 1e+04 nm" in choice.reason


@pytest.mark.parametrize("method", ["Rayleigh-Sommerfeld", "Fresnel"])
def test_a_kernel_that_is_not_sampled_is_refused(method):
    plane = Plane((8, 8), 2e-6)
    field = torch.ones(8, 8, dtype=torch.complex128)
    said = r"needs a pitch of the source below \d+.* found 2000 nm"
    with pytest.raises(SamplingError, match=said):
        propagate_to(field, plane, plane, WAVE_M, 20e-6, method=method)
    with pytest.raises(OpticsError, match="other than 0; use the angular spectrum"):
        propagate_to(field, plane, plane, WAVE_M, 0.0, method=method)


def test_what_a_method_loses_is_said():
    plane = Plane((32, 32), 1e-6)
    field = torch.zeros(32, 32, dtype=torch.complex128)
    field[15:17, 15:17] = 1
    with pytest.warns(SamplingWarning, match=r"[\d.]+ % of the field's power is steeper than"):
        propagate_to(field, plane, plane, WAVE_M, 2e-3, method="angular spectrum")
    with pytest.warns(SamplingWarning, match=r"wrong by up to [\d.]+ rad .* allowed are 0.05"):
        propagate_to(field, plane, plane, WAVE_M, 0.15e-3, method="Fresnel")


def test_a_field_of_another_shape_is_refused():
    with pytest.raises(OpticsError, match=r"\(3, 3\) samples, the source plane \(4, 4\)"):
        plane = Plane((4, 4), 1e-6)
        propagate_to(torch.ones(3, 3) + 0j, plane, plane, WAVE_M, 1e-5)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float32, torch.float64])
@pytest.mark.parametrize("method", ["angular spectrum", "Rayleigh-Sommerfeld", "Fresnel"])
def test_light_of_a_real_aperture_has_a_phase(dtype, method):
    source, target = Plane((16, 16), 1e-6), Plane((9, 8), 1e-6, (1e-6, 0.0))
    y, x = source.places()
    hole = y[:, None] ** 2 + x**2 < (5e-6) ** 2
    where = source, target, 532e-9, 400e-6
    expected = propagate_to(hole.to(torch.complex128), *where, method=method)
    found = propagate_to(hole.to(dtype), *where, method=method)
    assert found.dtype == (torch.complex128 if dtype == torch.float64 else torch.complex64)
    torch.testing.assert_close(found.to(torch.complex128), expected, rtol=1e-5, atol=1e-6)


def test_a_method_that_there_is_not_is_refused():
    plane = Plane((8, 8), 1e-6)
    with pytest.raises(OpticsError, match="method is 'fresnel'; allowed are angular spectrum"):
        propagate_to(torch.ones(8, 8), plane, plane, 532e-9, 1e-3, method="fresnel")


def test_several_wavelengths_are_refused():
    plane, waves = Plane((8, 8), 1e-6), torch.tensor([532e-9, 635e-9])
    with pytest.raises(OpticsError, match="must be one number of metres"):
        propagate_to(torch.ones(8, 8), plane, plane, waves, 1e-5)
