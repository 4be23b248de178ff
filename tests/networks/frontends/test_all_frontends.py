"""What holds of every frontend: those that the table lists, and what is made of them."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hybridonn import spec
from hybridonn.core.errors import OpticsError
from hybridonn.networks.frontends.binned import BinnedFrontend
from hybridonn.networks.frontends.ideal_convolution import IdealConvolution
from hybridonn.networks.frontends.measured import MeasuredFrontend
from hybridonn.networks.frontends.metasurface import MetasurfaceFrontend
from hybridonn.networks.frontends.parallel import ParallelFrontend
from hybridonn.networks.frontends.table import DIGITAL, FRONTENDS
from hybridonn.networks.student import build_frontend
from hybridonn.optics.fabrication.chip_errors import ChipErrors
from hybridonn.optics.layout.sites import lay_out
from hybridonn.optics.sensor import Sensor
from hybridonn.pipeline.from_spec import read_surface_size

COLOURS, KERNELS = 2, 3


@pytest.fixture(scope="module", autouse=True)
def _measurement(tmp_path_factory):
    """A file of point spread functions for the measured optics of the table."""
    global MEASUREMENT
    MEASUREMENT = tmp_path_factory.mktemp("optics") / "psfs.npz"
    psfs = np.random.default_rng(0).random((KERNELS, 2, COLOURS, 9, 11))
    np.savez(MEASUREMENT, psfs=psfs * [[[1.0]], [[0.6]]])


def build(name, shape=(12, 12)):
    """One frontend in double precision, as a spec has it."""
    torch.manual_seed(0)
    digital = name == DIGITAL
    optics = spec.Optics(
        frontend="ideal" if digital else name,
        four_f=spec.FourF(mask_pixels=57),
        wavelengths_nm=(532.0, 450.0),
        measured=spec.Measured(psfs=MEASUREMENT, pixels_per_scene_pixel=2.0),
    )
    kernels = COLOURS if name == "lens" else KERNELS
    trained = DIGITAL if digital else "trained"
    student = spec.Student(kernels=kernels, kernel_size=5, stride=2, optics=trained)
    return build_frontend(student, (COLOURS, *shape), optics).double()


def parallel(shape):
    torch.manual_seed(0)
    branches = [{"kernels": 1, "kernel_size": 5}, {"kernels": 2, "binning": 2}]
    student = spec.Student(branches=branches, backend="coarse_fine", hidden=(2, 2))
    return build_frontend(student, (COLOURS, *shape)).double()


def chip(shape):
    return build("ideal", shape).measure()


def metasurface(shape):
    own = chip(shape)
    return MetasurfaceFrontend(own.psfs, 5, 2, own.gains)


def binned(shape):
    own = chip(shape)
    whole = MetasurfaceFrontend(own.psfs, 5, 1, own.gains)
    return BinnedFrontend(whole, (1, 2), (1, 2))


def fabricated_four_f(shape):
    errors = {"source_radians": 1e-4, "focal_length_fraction": 0.01, "mask_phase_radians": 0.2}
    return build("four_f", shape).fabricate(ChipErrors(1, errors))


MADE = {
    "parallel": parallel,
    "chip": chip,
    "metasurface": metasurface,
    "binned": binned,
    "fabricated_four_f": fabricated_four_f,
}
ALL = {name: lambda shape, name=name: build(name, shape) for name in FRONTENDS} | MADE
BRANCHED = {"parallel", "binned"}
COHERENT = {"four_f", "fabricated_four_f"}  # linear in the light, but no convolution of the scene
FABRICATED = {"ideal", "four_f", "parallel", "measured", "chip", "metasurface", "binned"}
CAPTURED = FABRICATED | {"fabricated_four_f", "lens", DIGITAL}


def scene(shape=(12, 12)):
    torch.manual_seed(1)
    return torch.rand(2, COLOURS, *shape, dtype=torch.float64)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape", [(12, 12), (13, 11)])
def test_it_gives_a_tuple_of_branches_of_the_shapes_of_their_sensors(name, shape):
    frontend = ALL[name](shape)
    features = frontend(scene(shape))
    assert type(features) is tuple
    assert sum(one.shape[1] for one in features) == frontend.kernels
    rows, columns = shape
    if name in BRANCHED:
        sizes = [(rows, columns), (rows // 2, columns // 2)]
    else:
        sizes = [(-(-rows // 2), -(-columns // 2))]
    assert [tuple(one.shape[2:]) for one in features] == sizes


@pytest.mark.parametrize("name", ALL)
def test_twice_the_light_is_twice_the_feature(name):
    frontend = ALL[name]((12, 12))
    for one, twice in zip(frontend(scene()), frontend(2 * scene()), strict=True):
        torch.testing.assert_close(twice, 2 * one, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", sorted(set(ALL) - COHERENT))
def test_the_light_of_two_scenes_adds_up(name):
    frontend, one, other = ALL[name]((12, 12)), scene(), scene().flip(-1)
    parts = zip(frontend(one), frontend(other), frontend(one + other), strict=True)
    for first, second, both in parts:
        torch.testing.assert_close(both, first + second)


@pytest.mark.parametrize("name", sorted(set(ALL) - COHERENT - BRANCHED))
def test_signed_kernels_are_what_it_convolves_with(name):
    frontend = ALL[name]((13, 11))
    kernels, (found,) = frontend.signed_kernels(), frontend(scene((13, 11)))
    padded = F.pad(scene((13, 11)), 4 * (kernels.shape[-1] // 2,))
    patches = F.unfold(padded, kernels.shape[-1], stride=2)
    wanted = (kernels.flatten(1) @ patches).view_as(found)
    torch.testing.assert_close(found, wanted)
    assert kernels.dtype == torch.float64


@pytest.mark.parametrize("name", ALL)
def test_what_trains_gets_a_gradient(name):
    frontend = ALL[name]((12, 12))
    parameters = [one for one in frontend.parameters() if one.requires_grad]
    light = scene().requires_grad_()
    sum(one.square().sum() for one in frontend(light)).backward()
    for one in (light, *parameters):
        assert one.grad.isfinite().all()
        assert one.grad.any()
    assert bool(parameters) == (name in {"ideal", "four_f", "parallel", DIGITAL})


@pytest.mark.parametrize("name", sorted(set(ALL) - COHERENT))
def test_it_goes_where_the_network_goes(name):
    frontend = ALL[name]((12, 12)).float()
    assert {one.dtype for one in frontend(scene().float())} == {torch.float32}
    assert {one.device.type for one in frontend.to("meta")(scene().float().to("meta"))} == {"meta"}


@pytest.mark.parametrize("name", ALL)
def test_a_capture_without_noise_is_what_it_gives(name):
    frontend = ALL[name]((12, 12))
    if name not in CAPTURED:
        with pytest.raises(OpticsError, match="whose two signs cannot be captured yet"):
            frontend.capture(scene())
        return
    for both, one in zip(frontend.capture(scene()), frontend(scene()), strict=True):
        torch.testing.assert_close(both[:, :, 0] - both[:, :, 1], one)


@pytest.mark.parametrize(
    "name", ["ideal", "four_f", "measured", "chip", "binned", "fabricated_four_f"]
)
def test_the_light_weighed_and_read_out_is_a_capture(name):
    frontend = ALL[name]((12, 12))
    light = frontend.light(scene())
    assert light.shape[1:3] == (frontend.kernels, 2)
    assert light.min() >= -1e-9
    weighed = light * frontend.electronic_gains()[..., None, None]
    for one, wanted in zip(frontend.read_out(weighed), frontend.capture(scene()), strict=True):
        torch.testing.assert_close(one, wanted)


@pytest.mark.parametrize("name", sorted(CAPTURED))
def test_a_camera_adds_the_noise_of_its_generator(name):
    frontend, camera = ALL[name]((12, 12)), Sensor(1000.0, 5.0, None, 1.0, (1, 1))
    clean = frontend.capture(scene())
    first, again, other = (
        frontend.capture(scene(), camera, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    for a, b, c, ideal in zip(first, again, other, clean, strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)
        assert 0 < (a - ideal).norm() < 0.5 * ideal.norm()


@pytest.mark.parametrize("name", ALL)
def test_a_fab_without_errors_gives_back_what_was_designed(name):
    frontend, layout = ALL[name]((12, 12)), lay_out(read_surface_size(spec.Optics()), KERNELS)
    if name not in FABRICATED:
        with pytest.raises(OpticsError, match=r"no chip .*can be simulated"):
            frontend.fabricate(ChipErrors(0, {}), layout)
        return
    made = frontend.fabricate(ChipErrors(0, {}), layout)
    for one, other in zip(frontend(scene()), made(scene()), strict=True):
        torch.testing.assert_close(other, one)
    errors = ChipErrors(3, {"brightness_fraction": 0.3})
    wrong, again = (frontend.fabricate(errors, layout)(scene()) for _ in range(2))
    for one, other, ideal in zip(wrong, again, frontend(scene()), strict=True):
        assert torch.equal(one, other)
        assert not torch.allclose(one, ideal)


@pytest.mark.parametrize("name", ALL)
def test_each_branch_is_one_strided_convolution_of_the_scene(name):
    frontend = ALL[name]((12, 12))
    if name in COHERENT:
        with pytest.raises(OpticsError, match="whose images are no convolution of the scene"):
            frontend.convolutions()
        return
    for one, branch in zip(frontend.convolutions(), frontend(scene()), strict=True):
        torch.testing.assert_close(one(scene()), branch)


def test_errors_of_kernels_are_of_their_weights_and_of_draws_of_their_own():
    frontend, layout = parallel((12, 12)), lay_out(read_surface_size(spec.Optics()), KERNELS)
    made = frontend.fabricate(ChipErrors(0, {"kernel_noise_fraction": 0.2}), layout)
    moved = made.sensor_kernels() - frontend.sensor_kernels()
    dark = frontend.sensor_kernels() == 0
    assert not moved[dark].any()  # between and around the weights nothing was made
    assert moved[~dark].all()
    same = IdealConvolution(2, 3, 1)
    twice = ParallelFrontend([same, same], [1, 1])
    layout = lay_out(read_surface_size(spec.Optics()), 4)
    made = twice.fabricate(ChipErrors(0, {"kernel_noise_fraction": 0.2}), layout)
    one, other = made.stored()["psf"].split(2)
    assert not torch.allclose(one, other)


def test_errors_of_sub_optics_act_in_pixels_of_the_sensor():
    frontend, layout = parallel((12, 12)), lay_out(read_surface_size(spec.Optics()), KERNELS)
    made = frontend.fabricate(ChipErrors(0, {"shift_pixels": 1.0}), layout)
    whole = frontend.measure().frontend.fabricate(ChipErrors(0, {"shift_pixels": 1.0}), layout)
    torch.testing.assert_close(made.stored()["psf"], whole.psfs)


def test_large_point_spread_functions_take_the_same_pictures_by_transforms():
    torch.manual_seed(0)
    psfs = torch.rand(2, 2, COLOURS, 65, 65, dtype=torch.float64)
    frontend = MeasuredFrontend(psfs, stride=2)
    wanted = F.conv2d(scene(), frontend.signed_kernels(), stride=2, padding=32)
    torch.testing.assert_close(frontend(scene())[0], wanted)
    positive, negative = frontend.capture(scene())[0].unbind(2)
    torch.testing.assert_close(positive - negative, wanted)


@pytest.mark.parametrize("name", sorted(FABRICATED))
def test_errors_of_what_it_has_not_are_refused(name):
    frontend, layout = ALL[name]((12, 12)), lay_out(read_surface_size(spec.Optics()), KERNELS)
    quantity = "crosstalk_fraction" if name in COHERENT else "mask_phase_radians"
    with pytest.raises(OpticsError, match=rf"{quantity} act on [\w-]+, and this \w+ holds none"):
        frontend.fabricate(ChipErrors(0, {quantity: 0.1}), layout)


@pytest.mark.parametrize("name", sorted(FABRICATED))
def test_errors_of_pillars_that_it_does_not_know_are_refused(name):
    frontend, layout = ALL[name]((12, 12)), lay_out(read_surface_size(spec.Optics()), KERNELS)
    with pytest.raises(OpticsError, match=r"width_bias_m act on pillars, and this \w+ holds none"):
        frontend.fabricate(ChipErrors(0, {"width_bias_m": 3e-9}), layout)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape", [(12, 12), (13, 11), (5, 9)])
def test_its_digital_twin_gives_the_same_without_fourier_transforms(name, shape, monkeypatch):
    frontend = ALL[name](shape)
    with torch.no_grad():
        wanted = frontend(scene(shape))
    twin = frontend.digital((COLOURS, *shape))
    with torch.no_grad():
        for transform in ("fft2", "ifft2", "rfft2", "irfft2"):
            monkeypatch.delattr(torch.fft, transform)
        found = twin(scene(shape))
    # It can be copied and written: nothing of it is the result of a differentiable operation.
    assert not any(one.grad_fn for one in twin.buffers())
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9 * float(other.abs().max()))


def test_what_never_meets_a_scene_is_left_out_of_a_digital_twin():
    psfs = torch.rand(2, 2, 1, 41, 41, dtype=torch.float64)
    optics = MeasuredFrontend(psfs, stride=2)
    twin = optics.digital((1, 8, 6))
    images = torch.rand(2, 1, 8, 6, dtype=torch.float64)
    assert twin.branches[0].weight.shape == (2, 1, 7 + 7, 5 + 5)
    torch.testing.assert_close(twin(images)[0], optics(images)[0])


@pytest.mark.parametrize("name", ["measured", "chip", "binned", "fabricated_four_f"])
def test_gains_of_the_electronics_act_on_the_two_captures(name):
    optics = ALL[name]((12, 12))
    gains = 0.5 + torch.rand(KERNELS, 2, dtype=torch.float64)
    before = [one.clone() for one in optics(scene())]
    behind = optics.with_gains(gains)
    start = 0
    for found, pairs in zip(behind(scene()), optics.capture(scene()), strict=True):
        own = gains[start : start + pairs.shape[1], :, None, None]
        torch.testing.assert_close(found, (pairs * own)[:, :, 0] - (pairs * own)[:, :, 1])
        start += pairs.shape[1]
    for one, other in zip(optics(scene()), before, strict=True):
        assert torch.equal(one, other)
    for one, other in zip(behind.digital((COLOURS, 12, 12))(scene()), behind(scene()), strict=True):
        torch.testing.assert_close(one, other)


def test_ideal_optics_have_no_captures_with_gains():
    with pytest.raises(OpticsError, match="IdealConvolution, whose two signs have no gains"):
        build("ideal").with_gains(torch.ones(KERNELS, 2))
