"""A metasurface in place of the ideal convolution."""

import pytest
import torch

from hybridonn.core.errors import OpticsError
from hybridonn.networks.frontends.ideal_convolution import IdealConvolution
from hybridonn.networks.frontends.metasurface import (
    MetasurfaceFrontend,
    TrainableMetasurface,
    correlate,
)
from hybridonn.optics.fabrication.chip_errors import ChipErrors
from hybridonn.optics.fabrication.fabricated_psf import DesignedChip, measure_fabricated_psfs
from hybridonn.optics.layout.sites import SurfaceSize, lay_out
from hybridonn.optics.meta_atoms.pillars import default_library
from hybridonn.optics.metasurface.inverse_design import limit_widths
from hybridonn.optics.metasurface.sub_optic import Metasurface
from hybridonn.optics.metasurface.targets import restore_gains, split_kernels
from hybridonn.optics.sensor import Sensor

NM = 1e-9


def perfect(ideal, window, **more):
    kernels = ideal.signed_kernels().detach()
    targets = split_kernels(kernels)
    margin = (window - kernels.shape[-1]) // 2
    psfs = torch.nn.functional.pad(targets.parts, 4 * (margin,)) * 0.01
    gains = restore_gains(targets.parts * 0.01, targets)
    stride = ideal.convolution.stride[0]
    return MetasurfaceFrontend(psfs, kernels.shape[-1], stride, gains, **more)


@pytest.mark.parametrize("window", [7, 21, 63])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("shape", [(32, 32), (14, 25)])
def test_perfect_point_spread_functions_are_the_ideal_convolution(window, stride, shape):
    torch.manual_seed(0)
    ideal = IdealConvolution(4, 7, 3, stride).double()
    optics = perfect(ideal, window)
    scene = torch.rand(2, 3, *shape).double()
    torch.testing.assert_close(optics(scene), ideal(scene))
    torch.testing.assert_close(optics.signed_kernels(), ideal.signed_kernels().detach())


def test_a_perfect_camera_changes_nothing():
    ideal = IdealConvolution(4, 7, 3).double()
    camera = Sensor(1e4, 0.0, None, 1.0, (4, 4, 4))
    optics = perfect(ideal, 15, sensor=camera)
    scene = torch.rand(2, 3, 16, 16).double()
    torch.testing.assert_close(optics(scene), ideal(scene))
    assert optics.pictures(scene).shape == (2, 4, 2, 3, 16, 16)
    assert optics.pictures(scene).min() > -1e-12


def test_a_real_camera_is_noisy_about_the_truth():
    ideal = IdealConvolution(4, 7, 3)
    camera = Sensor(3e4, 7.0, 8, 1.0, (4, 4, 4))
    optics = perfect(ideal, 15, sensor=camera, generator=torch.Generator().manual_seed(0))
    scene = torch.rand(2, 3, 16, 16)
    noise = optics(scene)[0] - ideal(scene)[0]
    assert 0 < noise.std() < 0.1 * ideal(scene)[0].std()
    assert abs(noise.mean()) < 3 * noise.std() / noise.numel() ** 0.5 + 1e-3


@pytest.mark.parametrize("size", [3, 13, 31, 41])
@pytest.mark.parametrize("shape", [(9, 9), (33, 12), (5, 40)])
def test_transforms_are_the_direct_sum(size, shape):
    scene, kernels = torch.rand(2, 3, *shape).double(), torch.randn(5, 3, size, size).double()
    expected = torch.nn.functional.conv2d(scene, kernels, padding=size // 2)
    torch.testing.assert_close(correlate(scene, kernels), expected)
    torch.testing.assert_close(correlate(scene, kernels, 3), expected[..., ::3, ::3])


def test_it_goes_where_a_network_goes():
    optics = perfect(IdealConvolution(4, 7, 3), 15)
    optics.to(memory_format=torch.channels_last)
    assert not list(optics.parameters())
    assert optics(torch.rand(1, 3, 9, 9))[0].shape == (1, 4, 9, 9)


@pytest.mark.parametrize(
    ("psfs", "message"),
    [
        (torch.zeros(4, 2, 3, 8, 8), r"shape \(4, 2, 3, 8, 8\)"),
        (torch.zeros(4, 3, 7, 7), r"shape \(4, 3, 7, 7\)"),
        (-torch.ones(1, 2, 1, 3, 3), "18 values that are negative"),
        (torch.full((1, 2, 1, 3, 3), torch.nan), "18 values that are negative or not a number"),
    ],
)
def test_what_is_no_light_is_refused(psfs, message):
    with pytest.raises(OpticsError, match=message):
        MetasurfaceFrontend(psfs, 3)


def trainable(widths):
    library = default_library().at([532 * NM])
    surface = Metasurface(586 * NM, widths.shape[-1], 6e-5, 3, (532 * NM,))
    limits = limit_widths(library, 65 * NM, 53 * NM, NM)
    return TrainableMetasurface(widths, surface, library, limits, 7, 3)


def test_widths_train_through_the_wave_optics():
    torch.manual_seed(0)
    optics = trainable((65 + 172 * torch.rand(2, 2, 24, 24)) * NM)
    scene, wanted = torch.rand(4, 1, 8, 8), torch.rand(4, 2, 8, 8) * 0.05
    optimizer = torch.optim.Adam(optics.parameters(), lr=0.02)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = (optics(scene)[0] - wanted).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    nanometres = optics.widths_m().double() / NM
    assert (nanometres - nanometres.round()).abs().max() < 1e-3
    frozen = MetasurfaceFrontend(optics.point_spread_functions(), 3)
    torch.testing.assert_close(frozen(scene), optics(scene))


def test_all_that_it_computes_with_goes_where_it_goes():
    optics = trainable(torch.full((1, 2, 24, 24), 100 * NM)).to("meta")
    held = dict(optics.named_parameters()) | dict(optics.named_buffers())
    assert set(held) == {"position", "gains", "values", "rises", "propagator.transfer"}
    assert {tensor.device.type for tensor in held.values()} == {"meta"}
    assert set(optics.state_dict()) == {"position", "gains"}


@pytest.mark.parametrize("bad", [-1.0, torch.nan, 300 * NM])
def test_widths_that_cannot_be_made_are_no_start(bad):
    widths = torch.full((1, 2, 24, 24), 100 * NM)
    widths[0, 1, 3, 4] = bad
    with pytest.raises(OpticsError, match="65 to 237 nm"):
        trainable(widths)


def test_errors_of_pillars_act_on_the_designed_chip_that_it_is_given():
    size = SurfaceSize(2e-4, 2e-4, site_m=3.75e-5, gap_m=4e-6, wafer_diameter_m=0.1)
    geometry = Metasurface(586e-9, 64, 0.2e-3, 8, (532e-9, 635e-9))
    steps = torch.randint(65, 238, (2, 2, 64, 64), generator=torch.Generator().manual_seed(0))
    design = DesignedChip(1e-9 * steps.float(), geometry, default_library(), lay_out(size, 2), 5)
    psfs = measure_fabricated_psfs(design, ChipErrors())
    gains = torch.rand(2, 2, 2, generator=torch.Generator().manual_seed(1))
    frontend = MetasurfaceFrontend(psfs, 5, 2, gains, design=design)
    pillars = ChipErrors(3, {"width_bias_m": 1e-8, "stray_light": True})
    both = ChipErrors(3, dict(pillars.magnitudes) | {"brightness_fraction": 0.3})

    assert torch.equal(frontend.fabricate(ChipErrors(3), design.layout).psfs, psfs)
    made, bright = (frontend.fabricate(errors, design.layout) for errors in (pillars, both))
    assert torch.equal(made.psfs, measure_fabricated_psfs(design, pillars))
    assert not torch.allclose(made.psfs, psfs)
    on_top = made.fabricate(ChipErrors(3, {"brightness_fraction": 0.3}), design.layout)
    assert torch.equal(bright.psfs, on_top.psfs)
    assert torch.equal(bright.gains, frontend.gains)
    assert bright.stride == 2
