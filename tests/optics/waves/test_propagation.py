import cmath
import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import fresnel, j1

from hybridonn.core.errors import OpticsError, SamplingError
from hybridonn.optics.waves.propagation import Propagator, propagate, transfer_function
from hybridonn.optics.waves.sampling import SamplingWarning
from hybridonn.optics.waves.sources import coordinates, gaussian_beam, plane_wave, thin_lens

GREEN = 532e-9
COLOURS = (450e-9, 532e-9, 635e-9)


def relative(found, expected):
    return float((found - expected).norm() / expected.norm())


def noise(*shape, dtype=torch.complex128, seed=0):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


# --- closed forms ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_a_gaussian_beam_keeps_its_form(dtype):
    shape, pitch, waist, z = (256, 240), 2e-6, 20e-6, 2.5e-3
    start = gaussian_beam(shape, pitch, COLOURS, waist, dtype=dtype)
    found = Propagator(shape, pitch, COLOURS, z, dtype=dtype)(start)
    assert found.dtype == dtype
    for one, wavelength in zip(found, COLOURS, strict=True):
        rayleigh = math.pi * waist**2 / wavelength
        width = waist * math.sqrt(1 + (z / rayleigh) ** 2)
        y, x = coordinates(shape, pitch)
        intensity = one.abs().double().square()
        # The second moment of exp(-2 r^2 / w^2) along each axis is w^2 / 4.
        for axis in (y, x):
            moment = float((axis**2 * intensity).sum() / intensity.sum())
            assert 2 * math.sqrt(moment) == pytest.approx(width, rel=1e-3)
        # Four samples around the axis, in the middle between which it runs.
        centre = one[127:129, 119:121].to(torch.complex128).mean()
        corner = math.exp(-2 * 0.5 * pitch**2 / width**2)
        assert float(centre.abs()) ** 2 == pytest.approx((waist / width) ** 2 * corner, rel=1e-3)
        gouy = cmath.phase(
            complex(centre) * cmath.exp(-2j * math.pi * math.fmod(z / wavelength, 1))
        )
        curvature = z / (z**2 + rayleigh**2) * 0.5 * pitch**2 * math.pi / wavelength
        assert curvature - gouy == pytest.approx(math.atan(z / rayleigh), rel=1e-3)
    expected = gaussian_beam(shape, pitch, COLOURS, waist, z, dtype=dtype)
    assert relative(found, expected) < 1e-4


def test_a_lens_makes_an_airy_pattern():
    shape, pitch, diameter, focus = (512, 512), 2e-6, 0.8e-3, 25e-3
    lens = thin_lens(shape, pitch, [GREEN], focus, diameter)
    found = Propagator(shape, pitch, [GREEN], focus)(lens)[0].abs().double().square()
    y, x = coordinates(shape, pitch)
    radius = (y**2 + x**2).sqrt()
    # Goodman 2005, equation 4-31: the intensity too, not only its form.
    q = math.pi * diameter * radius / (GREEN * focus)
    peak = (math.pi * diameter**2 / (4 * GREEN * focus)) ** 2
    expected = peak * (2 * torch.as_tensor(j1(q.numpy())) / q) ** 2
    near = radius < 100e-6
    assert relative(found[near], expected[near]) < 1e-3
    # The first dark ring, 1.22 lambda f / D.
    ring = 1.2197 * GREEN * focus / diameter
    row = found[256, 256:]
    dark = int(row[: round(1.5 * ring / pitch)].argmin()) * pitch
    assert abs(dark + 0.5 * pitch - ring) < pitch


def fresnel_edge(at_m, half_m, wavelength_m, distance_m):
    """One axis of a square aperture: Goodman 2005, equation 4-51."""
    scale = math.sqrt(2 / (wavelength_m * distance_m))
    sine_1, cosine_1 = fresnel(scale * (half_m - at_m.numpy()))
    sine_0, cosine_0 = fresnel(scale * (-half_m - at_m.numpy()))
    total = torch.as_tensor((cosine_1 - cosine_0) + 1j * (sine_1 - sine_0))
    return total / (math.sqrt(2) * cmath.exp(0.25j * math.pi))


def test_a_square_aperture_gives_fresnels_integrals():
    side, pitch, half, z = 1536, 8e-6 / 3, 150 * 8e-6 / 3, 64e-3
    y, x = coordinates((side, side), pitch)
    aperture = ((y.abs() < half) & (x.abs() < half)).to(torch.complex64)[None]
    found = Propagator((side, side), pitch, [GREEN], z)(aperture)[0]
    expected = fresnel_edge(y, half, GREEN, z) * fresnel_edge(x, half, GREEN, z)
    expected = expected * cmath.exp(2j * math.pi * math.fmod(z / GREEN, 1))
    lit = slice(side // 2 - 225, side // 2 + 225)
    assert relative(found[lit, lit], expected[lit, lit]) < 1e-3
    intensity, closed = found[lit, lit].abs().square(), expected[lit, lit].abs().square()
    assert relative(intensity, closed) < 1e-3


def test_an_oblique_wave_runs_to_the_side_by_its_tangent():
    shape, pitch, sines, z = (256, 256), 2e-6, (0.02, -0.03), 2e-3
    beam = gaussian_beam(shape, pitch, [GREEN], 40e-6, dtype=torch.complex128)
    tilted = beam * plane_wave(shape, pitch, [GREEN], sines, dtype=torch.complex128)
    found = Propagator(shape, pitch, [GREEN], z, dtype=torch.complex128)(tilted)[0]
    power = found.abs().square()
    axial = math.sqrt(1 - sines[0] ** 2 - sines[1] ** 2)
    for axis, sine in zip(coordinates(shape, pitch), sines, strict=True):
        assert float((axis * power).sum() / power.sum()) == pytest.approx(
            z * sine / axial, rel=1e-3
        )


def test_in_glass_a_beam_is_that_of_a_shorter_wavelength():
    shape, pitch = (64, 64), 1e-6
    field = noise(1, *shape)
    in_glass = Propagator(shape, pitch, [GREEN], 1e-4, index=1.46, dtype=torch.complex128)
    shorter = Propagator(shape, pitch, [GREEN / 1.46], 1e-4, dtype=torch.complex128)
    assert relative(in_glass(field), shorter(field)) < 1e-9


# --- laws ------------------------------------------------------------------------------------


def test_there_and_back_is_the_identity_and_keeps_the_energy():
    shape, pitch, z = (256, 256), 2e-6, 2e-3
    beam = gaussian_beam(shape, pitch, COLOURS, 30e-6)
    there = Propagator(shape, pitch, COLOURS, z)(beam)
    back = Propagator(shape, pitch, COLOURS, -z)(there)
    assert relative(back, beam) < 1e-5
    assert relative(there.abs().square().sum((1, 2)), beam.abs().square().sum((1, 2))) < 1e-5


def test_no_distance_is_the_identity_even_for_details_finer_than_a_wave():
    field = noise(1, 31, 20)
    nowhere = Propagator((31, 20), 100e-9, [GREEN], 0.0, dtype=torch.complex128)
    assert relative(nowhere(field), field) < 1e-12


def test_two_short_ways_are_one_long_way():
    shape, pitch = (256, 256), 2e-6
    beam = gaussian_beam(shape, pitch, [GREEN], 20e-6, dtype=torch.complex128)
    half = Propagator(shape, pitch, [GREEN], 1e-3, dtype=torch.complex128)
    whole = Propagator(shape, pitch, [GREEN], 2e-3, dtype=torch.complex128)
    assert relative(half(half(beam)), whole(beam)) < 1e-7


@pytest.mark.parametrize("side", [40, 41])
def test_light_stays_centred(side):
    shape = (side, side + 3)
    y, x = coordinates(shape, 1e-6)
    spot = torch.exp(-(y**2 + x**2) / (5e-6) ** 2).to(torch.complex128)[None]
    found = Propagator(shape, 1e-6, [GREEN], 50e-6, dtype=torch.complex128)(spot)
    assert relative(found.flip(-1), found) < 1e-12
    assert relative(found.flip(-2), found) < 1e-12


def test_padding_keeps_light_from_coming_in_again():
    shape, pitch, z = (64, 64), 2e-6, 4e-3
    edge = torch.zeros(1, *shape, dtype=torch.complex128)
    edge[:, 20:44, 60:] = 1
    plain = {"dtype": torch.complex128, "checked": False}
    small = Propagator(shape, pitch, [GREEN], z, **plain)(edge)
    large = Propagator(shape, pitch, [GREEN], z, padding=8, **plain)(edge)
    wrapped = Propagator(shape, pitch, [GREEN], z, padding=1, band_limited=False, **plain)(edge)
    assert relative(small, large) < 0.2  # the band limit blurs the far field of a short window
    assert relative(wrapped, large) > 0.5


def test_evanescent_waves_decay_as_their_law_says():
    pitch, z = 50e-9, 100e-9
    transfer = transfer_function((64, 1), pitch, [GREEN], z, dtype=torch.complex128)[0, :, 0]
    f = 32 / (64 * pitch)
    decay = math.exp(-2 * math.pi * z * math.sqrt(f**2 - GREEN**-2))
    assert complex(transfer[32]) == pytest.approx(decay, rel=1e-9)


def test_the_band_limit_leaves_out_what_the_window_cannot_sample():
    n, pitch, z = 128, 1e-6, 1e-3
    transfer = transfer_function((n, 1), pitch, [GREEN], z)[0, :, 0]
    f = torch.fft.fftfreq(n, pitch, dtype=torch.float64).abs()
    limit = 1 / (GREEN * math.sqrt((2 * z / (n * pitch)) ** 2 + 1))  # Matsushima, equation 13
    assert torch.equal(transfer.abs() > 0.5, f < limit)


def test_phases_are_right_after_a_million_waves():
    z = 0.5  # metres
    for dtype, tolerance in ((torch.complex64, 1e-6), (torch.complex128, 1e-9)):
        centre = complex(transfer_function((8, 8), 1e-3, [GREEN], z, dtype=dtype)[0, 0, 0])
        assert abs(centre - cmath.exp(2j * math.pi * math.fmod(z / GREEN, 1))) < tolerance


@settings(max_examples=15, deadline=None)
@given(
    a=st.complex_numbers(max_magnitude=3, allow_nan=False),
    seed=st.integers(0, 1000),
    shape=st.tuples(st.integers(1, 20), st.integers(1, 20)),
)
def test_it_is_linear(a, seed, shape):
    one = Propagator(shape, 1e-6, COLOURS, 3e-5, dtype=torch.complex128, checked=False)
    x, y = noise(2, 3, *shape, seed=seed)
    difference = one(a * x + y) - (a * one(x) + one(y))
    assert float(difference.abs().max()) < 1e-10


@settings(max_examples=15, deadline=None)
@given(leading=st.lists(st.integers(1, 3), max_size=3), shared=st.booleans())
def test_a_batch_is_one_by_one(leading, shared):
    shape = (9, 14)
    propagator = Propagator(shape, 1e-6, COLOURS, 3e-5, dtype=torch.complex128, checked=False)
    field = noise(*leading, 1 if shared else 3, *shape)
    found = propagator(field)
    assert found.shape == (*leading, 3, *shape)
    for k, wavelength in enumerate(COLOURS):
        alone = Propagator(shape, 1e-6, [wavelength], 3e-5, dtype=torch.complex128, checked=False)
        for one, expected in zip(
            field[..., 0 if shared else k, :, :].reshape(-1, *shape),
            found[..., k, :, :].reshape(-1, *shape),
            strict=True,
        ):
            assert relative(alone(one[None])[0], expected) < 1e-12


def test_gradients_are_right():
    propagator = Propagator((3, 4), 1e-6, COLOURS[:2], 2e-5, dtype=torch.complex128, checked=False)
    field = noise(2, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(propagator, field)
    assert torch.autograd.gradgradcheck(lambda f: propagator(f).abs().square(), field)


def test_distance_pitch_and_wavelengths_have_gradients():
    field = noise(2, 3, 4).requires_grad_()

    def carry(field, pitch, waves, distance):
        lengths = (1e-6 * pitch, 1e-6 * waves, 1e-6 * distance)
        return Propagator((3, 4), *lengths, dtype=torch.complex128, checked=False)(field)

    numbers = [
        torch.tensor(value, dtype=torch.float64, requires_grad=True)
        for value in (1.0, [0.45, 0.532], 20.3)
    ]
    assert torch.autograd.gradcheck(carry, (field, *numbers))


def test_a_distance_is_learnt_as_a_parameter():
    shape, pitch = (48, 48), 1e-6
    beam = gaussian_beam(shape, pitch, [GREEN], 6e-6, dtype=torch.complex128)
    wanted = Propagator(shape, pitch, [GREEN], 60e-6, dtype=torch.complex128)(beam)
    distance = torch.nn.Parameter(torch.tensor(59.9e-6, dtype=torch.float64))
    learnt = Propagator(shape, pitch, [GREEN], distance, dtype=torch.complex128)
    assert dict(learnt.named_parameters()) == {"distance_m": distance}
    for _ in range(3):  # Newton's steps on the mean phase: 2 pi / wavelength a metre
        overlap = (learnt(beam).conj() * wanted).sum()
        (slope,) = torch.autograd.grad(overlap.angle(), distance)
        with torch.no_grad():
            distance -= overlap.angle() / slope
    assert float(distance.detach()) == pytest.approx(60e-6, rel=1e-6)


def test_the_transfer_function_moves_with_the_module_and_is_not_saved():
    propagator = Propagator((4, 4), 1e-6, [GREEN], 1e-5)
    assert propagator.state_dict() == {}
    assert propagator.to("meta").transfer.device.type == "meta"


# --- independent code ------------------------------------------------------------------------


def test_torchoptics_finds_the_same_point_spread_function():
    torchoptics = pytest.importorskip(
        "torchoptics", reason="independent code, in the extra 'test': pip install torchoptics"
    )
    elements = pytest.importorskip("torchoptics.elements")
    side, pitch = 256, 0.8e-6
    diameter = side * pitch
    aperture = 0.17
    focus = diameter / 2 / math.tan(math.asin(aperture))
    lens = elements.Lens(side, focus, 0, spacing=pitch)
    wave = torchoptics.Field(torch.ones(side, side, dtype=torch.cdouble), GREEN, 0, spacing=pitch)
    theirs = lens(wave).propagate_to_z(focus, propagation_method="ASM", asm_pad=side // 2)
    expected = theirs.data.abs().square()
    # The mask of their lens, so that only the propagation differs.
    start = lens(wave).data[None].to(torch.complex64)
    found = Propagator((side, side), pitch, [GREEN], focus)(start)[0].abs().double().square()
    assert float(torch.corrcoef(torch.stack([found.ravel(), expected.ravel()]))[0, 1]) > 0.9999
    y, x = coordinates((side, side), pitch)
    for axis in (y, x):
        shift = float((axis * found).sum() / found.sum() - (axis * expected).sum() / expected.sum())
        assert abs(shift) < 0.01 * pitch
    # Our own lens differs from theirs in its soft edge alone.
    ours = thin_lens((side, side), pitch, [GREEN], focus, diameter)
    own = Propagator((side, side), pitch, [GREEN], focus)(ours)[0].abs().double().square()
    assert float(torch.corrcoef(torch.stack([own.ravel(), expected.ravel()]))[0, 1]) > 0.9999


# --- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pitch_m": 0.0}, "pitch_m is 0"),
        ({"pitch_m": math.nan}, "pitch_m is nan"),
        ({"wavelengths_m": []}, "no wavelength"),
        ({"wavelengths_m": [GREEN, -1.0]}, "wavelength is -1"),
        ({"distance_m": math.inf}, "distance_m is inf"),
        ({"index": 0.0}, "index is 0"),
        ({"padding": 0}, "cannot be padded 0 times"),
        ({"shape": (0, 4)}, "0 x 4 samples"),
        ({"dtype": torch.float32}, "complex64 and complex128"),
    ],
)
def test_lengths_that_no_grid_can_have(change, message):
    good = {"shape": (4, 4), "pitch_m": 1e-6, "wavelengths_m": [GREEN], "distance_m": 1e-5}
    with pytest.raises(OpticsError, match=message):
        Propagator(**(good | change))


@pytest.mark.parametrize("shape", [(4, 4), (2, 4, 4), (3, 4, 5)])
def test_a_field_of_another_shape(shape):
    propagator = Propagator((4, 4), 1e-6, COLOURS, 1e-5)
    with pytest.raises(OpticsError, match=r"takes \(..., 3 or 1, 4, 4\)"):
        propagator(torch.zeros(shape, dtype=torch.complex64))


@pytest.mark.cuda
def test_lengths_on_cuda_reach_the_field_wherever_it_is():
    distance = torch.tensor(1e-4, dtype=torch.float64, device="cuda", requires_grad=True)
    for device in ("cpu", "cuda"):
        field = noise(1, 16, 16).to(device)
        learnt = Propagator((16, 16), 1e-6, [GREEN], distance, checked=False)
        learnt(field).abs().sum().backward()
        assert learnt(field).device == field.device
    assert bool(torch.isfinite(distance.grad))


def test_single_precision_lengths_are_widened():
    learnt = Propagator((4, 4), 1e-6, torch.tensor([GREEN]), 1e-5, dtype=torch.complex128)
    assert relative(learnt.transfer, Propagator((4, 4), 1e-6, [GREEN], 1e-5).transfer) < 1e-5


@pytest.mark.cuda
def test_cuda_finds_what_the_cpu_finds():
    field = noise(3, 32, 32, dtype=torch.complex64)
    on_cpu = Propagator((32, 32), 1e-6, COLOURS, 1e-4)(field)
    on_gpu = propagate(
        field.cuda(), transfer_function((64, 64), 1e-6, COLOURS, 1e-4, device="cuda")
    )
    assert relative(on_gpu.cpu(), on_cpu) < 1e-5


def test_the_first_field_is_held_against_the_sampling_rules():
    x = (torch.arange(64) - 31.5) * 1e-6
    lens = torch.polar(torch.ones(64, 64), -math.pi * (x[:, None] ** 2 + x**2) / (GREEN * 4e-4))
    wrapping = Propagator((64, 64), 1e-6, [GREEN], 1e-3, padding=1, band_limited=False)
    wrapping(torch.zeros(1, 64, 64, dtype=torch.complex64))  # darkness tells nothing
    with pytest.raises(SamplingError, match=r"aliases.*use band_limited=True"):
        wrapping(lens[None])
    narrow = Propagator((64, 64), 1e-6, [GREEN], 1e-3)
    with pytest.warns(SamplingWarning, match="steeper light is cut off; use padding of at least"):
        narrow(lens[None])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        narrow(lens[None])  # said once
        Propagator((64, 64), 1e-6, [GREEN], 1e-3, checked=False)(lens[None])
        Propagator((64, 64), 1e-6, [GREEN], 5e-5)(torch.ones(1, 64, 64, dtype=torch.complex64))


@pytest.mark.parametrize("waves", [532e-9, torch.tensor(532e-9)])
def test_a_wavelength_outside_of_a_list_is_refused(waves):
    with pytest.raises(OpticsError, match=r"the wavelengths are .* must be a list"):
        Propagator((8, 8), 1e-6, waves, 1e-5)


def test_a_part_of_a_padding_is_refused():
    with pytest.raises(OpticsError, match=r"padded 1\.5 times; .* whole numbers"):
        Propagator((8, 8), 1e-6, (532e-9,), 1e-5, padding=1.5)
