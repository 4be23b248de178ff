"""From the field behind a metasurface to its point spread function."""

import math

import pytest
import torch

from hybridonn.core.errors import OpticsError, SamplingError
from hybridonn.optics.metasurface.psf import BlockPropagator, integrate_pixels
from hybridonn.optics.metasurface.sub_optic import intensity
from hybridonn.optics.waves.propagation import Propagator

UM = 1e-6
RGB = (635e-9, 450e-9)


def sum_directly(field, block, pitch, wavelength, distance):
    """The Rayleigh-Sommerfeld sum, cell by cell."""
    cells = field.shape[-1]
    x = (torch.arange(cells, dtype=torch.float64) - (cells - 1) / 2) * pitch
    u = (torch.arange(block, dtype=torch.float64) - (block - 1) / 2) * pitch
    dy, dx = u[:, None] - x[None], u[:, None] - x[None]
    r = torch.sqrt(dy[:, None, :, None] ** 2 + dx[None, :, None, :] ** 2 + distance**2)
    k = 2 * math.pi / wavelength
    h = distance / (2 * math.pi * r**2) * (1 / r - 1j * k) * torch.exp(1j * k * r) * pitch**2
    return torch.einsum("uvyx,yx->uv", h, field)


@pytest.mark.parametrize(("cells", "block"), [(12, 5), (11, 6), (9, 9), (4, 11)])
def test_it_is_the_sum_over_all_cells(cells, block):
    field = torch.randn(2, cells, cells, dtype=torch.complex128)
    there = BlockPropagator(cells, block, 0.6 * UM, RGB, 30 * UM, dtype=torch.complex128)
    for found, part, wavelength in zip(there(field), field, RGB, strict=True):
        expected = sum_directly(part, block, 0.6 * UM, wavelength, 30 * UM)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_it_agrees_with_the_angular_spectrum():
    cells, block, pitch, distance = 128, 48, 0.6 * UM, 300 * UM
    x = (torch.arange(cells) - (cells - 1) / 2).double() * pitch
    r = torch.sqrt(x[:, None] ** 2 + (x[None] - 5 * UM) ** 2 + distance**2)
    lens = torch.stack([torch.exp(-2j * math.pi / w * r) for w in RGB])
    there = BlockPropagator(cells, block, pitch, RGB, distance, dtype=torch.complex128)(lens)
    spectrum = Propagator((cells, cells), pitch, RGB, distance, padding=4, dtype=torch.complex128)
    margin = (cells - block) // 2
    expected = spectrum(lens)[..., margin : margin + block, margin : margin + block]
    for a, b in zip(intensity(there), intensity(expected), strict=True):
        assert torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1] > 0.9999
        assert abs(a.sum() / b.sum() - 1) < 5e-3


def test_a_focus_holds_the_light_and_no_more():
    cells, block, pitch, distance = 100, 70, 0.6 * UM, 200 * UM
    x = (torch.arange(cells) - (cells - 1) / 2).double() * pitch
    r = torch.sqrt(x[:, None] ** 2 + x[None] ** 2 + distance**2)
    lens = torch.exp(-2j * math.pi / RGB[1] * r)[None]
    light = intensity(BlockPropagator(cells, block, pitch, RGB[1:], distance)(lens.cfloat()))
    assert 0.96 < float(light.sum()) / cells**2 < 1.001


def test_the_adjoint_is_the_adjoint_and_the_gradient():
    there = BlockPropagator(9, 4, 0.6 * UM, RGB, 20 * UM, dtype=torch.complex128)
    field = torch.randn(2, 9, 9, dtype=torch.complex128, requires_grad=True)
    light = torch.randn(2, 4, 4, dtype=torch.complex128)
    left = torch.vdot(light.flatten(), there(field).flatten())
    right = torch.vdot(there.adjoint(light).flatten(), field.flatten())
    torch.testing.assert_close(left, right)
    assert torch.autograd.gradcheck(there, (field,))


def test_light_that_the_cells_cannot_send_is_refused():
    with pytest.raises(SamplingError, match=r"450 nm .* sine of 0\.7.* carry less than 0\.375"):
        BlockPropagator(100, 100, 0.6 * UM, RGB, 60 * UM)
    with pytest.raises(OpticsError, match="distance"):
        BlockPropagator(10, 10, 0.6 * UM, RGB, 0.0)


def test_pixels_collect_the_light_of_their_cells():
    light = torch.rand(2, 3, 8, 12, dtype=torch.float64)
    pixels = integrate_pixels(light, 4)
    assert pixels.shape == (2, 3, 2, 3)
    torch.testing.assert_close(pixels[1, 2, 1, 0], light[1, 2, 4:, :4].sum())


def test_a_bayer_mosaic_sees_each_colour_in_its_own_corner():
    light = torch.zeros(3, 4, 4)
    light[:, :2, :2] = 1  # top left: red alone is there
    pixels = integrate_pixels(light, 4, bayer=True)
    assert pixels.flatten().tolist() == [16, 0, 0]
    even = integrate_pixels(torch.ones(3, 8, 8), 4, bayer=True)
    torch.testing.assert_close(even, torch.full((3, 2, 2), 16.0))
