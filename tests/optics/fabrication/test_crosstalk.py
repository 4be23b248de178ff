"""Light that lands on neighbours."""

import math

import pytest
import torch

from hybridonn import spec
from hybridonn.core.errors import OpticsError
from hybridonn.optics.fabrication.crosstalk import (
    count_reach,
    find_neighbours,
    leak_light,
    measure_crosstalk,
    mix_neighbours,
    place_sub_optics,
    trace_light,
)
from hybridonn.optics.metasurface.psf import integrate_pixels
from hybridonn.optics.metasurface.sub_optic import Metasurface, intensity, turn
from hybridonn.pipeline.from_spec import lay_out_kernels

UM = 1e-6
SURFACE = Metasurface(0.6 * UM, 160, 300 * UM, 8, (532e-9,))


def wave(field, pixels):
    light = intensity(SURFACE.propagator(pixels)(field))
    return integrate_pixels(light, SURFACE.pixel_cells) / SURFACE.cells**2


def test_rays_land_where_the_wave_does():
    x = (torch.arange(160) - 79.5) * 0.6 * UM
    x = x.double()
    # Light that aims beside the axis, and some that is scattered all around.
    aim = torch.sqrt((x[:, None] - 40 * UM) ** 2 + (x[None] + 20 * UM) ** 2 + (300 * UM) ** 2)
    lens = torch.exp(-2j * math.pi / 532e-9 * aim)
    noise = torch.exp(1j * torch.randn(160, 160, generator=torch.Generator().manual_seed(0)))
    for field in (lens, (lens + noise) / 2):
        field = field[None].cfloat()
        rays, waves = trace_light(field, SURFACE, 39), wave(field, 39)
        # The light aims at row 28 and column 15; the rays are blurred by some three pixels.
        whole = slice(0, 39)
        for rows, columns in [(whole, slice(0, 26)), (slice(0, 21), whole), (slice(22, 39), whole)]:
            landed, expected = (float(light[0, rows, columns].sum()) for light in (rays, waves))
            assert landed == pytest.approx(expected, abs=0.08)


def test_no_light_is_made():
    field = torch.polar(torch.ones(1, 160, 160), 6 * torch.rand(1, 160, 160))
    assert 0.97 < float(trace_light(field, SURFACE, 301).sum()) <= 1.0001


def layout(kernels=2, columns=5, rows=5):
    optics = spec.Optics(
        metasurface_width_mm=0.1008 * columns,
        metasurface_height_mm=0.1008 * rows,
        kernel_site_mm=0.096,
        gap_mm=0.0048,
    )
    return lay_out_kernels(optics, kernels)


def test_a_neighbours_light_is_added_where_it_falls():
    placed = layout()
    sites = {(s.kernel, s.sign): s for s in placed.sites if s.kernel is not None}
    plus, minus = sites[0, 1], sites[0, -1]
    assert plus.x_m < minus.x_m  # the negative part lies to the right
    # The pitch is 100.8 um, 21 pixels: what lands so far to the right of the positive part,
    # and two pixels down, is on the axis of the negative part, two pixels down.
    maps = torch.zeros(2, 2, 1, 61, 61)
    maps[0, 0, 0, 32, 51] = 0.25
    leaked = leak_light(maps, placed, SURFACE, 9)
    expected = torch.zeros(2, 2, 1, 9, 9)
    expected[0, 1, 0, 6, 4] = 0.25
    torch.testing.assert_close(turn(leaked), expected)
    psfs = torch.zeros(2, 2, 1, 9, 9)
    psfs[..., 4, 4] = 0.5
    assert measure_crosstalk(psfs, leaked).tolist() == [[0, 0.5], [0, 0]]


def test_the_map_reaches_as_far_as_light_or_the_chip():
    reach = count_reach(SURFACE, layout(), 9)
    assert reach % 2 == 1
    assert reach == 2 * math.ceil(min(48 + 300 * 0.4433 / math.sqrt(1 - 0.4433**2), 1e9) / 4.8) + 1


@pytest.mark.parametrize(
    ("columns", "rows", "kernels"),
    [(4, 4, 8), (8, 2, 8), (2, 8, 8), (1, 6, 3), (6, 1, 3), (3, 3, 4), (5, 5, 3), (7, 3, 5)],
)
def test_neighbours_are_one_pitch_apart_on_the_layout(columns, rows, kernels):
    placed = layout(kernels, columns, rows)
    axes = {2 * k + part: place for (k, part), place in place_sub_optics(placed).items()}
    assert sorted(axes) == list(range(2 * kernels))
    near = {
        (one, other)
        for one, (down, right) in axes.items()
        for other, (other_down, other_right) in axes.items()
        if math.hypot(down - other_down, right - other_right) == pytest.approx(placed.pitch_m)
    }
    assert sorted(find_neighbours(placed)) == sorted(near)
    # The two parts of a kernel are neighbours on every layout.
    assert all((2 * k, 2 * k + 1) in near for k in range(kernels))


def mixing(placed, fraction):
    """Row i: how much of the light of each sub-optic lands on image i."""
    count = placed.kernels
    one_each = torch.eye(2 * count).view(count, 2, 1, 2 * count, 1)
    return mix_neighbours(one_each, placed, fraction).view(2 * count, 2 * count)


def test_crosstalk_goes_to_the_neighbours_of_the_layout_and_is_lost_elsewhere():
    # + - + -    one row: the grid that was once assumed has two rows of two.
    line = mixing(layout(2, 4, 1), 0.2)
    near = torch.diag(torch.ones(3), 1) + torch.diag(torch.ones(3), -1)
    torch.testing.assert_close(line, 0.8 * torch.eye(4) + 0.05 * near)
    square = mixing(layout(2, 2, 2), 0.2)  # + - above + -
    assert square[0].tolist() == pytest.approx([0.8, 0.05, 0.05, 0])
    full = mixing(layout(8, 4, 4), 0.2)
    assert full.sum(0)[[0, 1, 5, 6]].tolist() == pytest.approx([0.9, 0.95, 1, 1])


def test_light_that_goes_to_an_empty_site_is_lost():
    # Three kernels in the middle of 5 x 5 sites: nothing of the empty ones comes back.
    placed = layout(3, 6, 5)
    mixed = mixing(placed, 0.4)
    pairs = find_neighbours(placed)
    for place, light in enumerate(mixed.sum(0)):
        assert light == pytest.approx(0.6 + 0.1 * sum(source == place for source, _ in pairs))
    assert mixed.sum(0).max() < 0.99


def test_both_models_agree_on_who_gets_light():
    # Light that lands exactly one pitch away in each direction, by rays and by the fraction.
    placed = layout(5, 7, 3)
    maps = torch.zeros(5, 2, 1, 61, 61)
    for down, right in ((-21, 0), (21, 0), (0, -21), (0, 21)):
        maps[..., 30 + down, 30 + right] = 0.05
    psfs = torch.zeros(5, 2, 1, 3, 3)
    psfs[..., 1, 1] = 1
    by_fraction = mix_neighbours(psfs, placed, 0.2)
    torch.testing.assert_close(0.8 * psfs + leak_light(maps, placed, SURFACE, 3), by_fraction)


def test_a_layout_of_other_kernels_is_refused_and_no_crosstalk_needs_none():
    psfs = torch.rand(3, 2, 1, 3, 3)
    with pytest.raises(OpticsError, match="places 2 kernels, but there are 3"):
        mix_neighbours(psfs, layout(2), 0.1)
    assert mix_neighbours(psfs, layout(3), 0.0) is psfs


def test_crosstalk_is_differentiable():
    psfs = torch.rand(2, 2, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda light: mix_neighbours(light, layout(), 0.3), psfs)
