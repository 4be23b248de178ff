"""Light that lands on neighbours."""

import math

import pytest
import torch

from hybridonn import spec
from hybridonn.optics.crosstalk import count_reach, leak_light, measure_crosstalk, trace_light
from hybridonn.optics.layout import lay_out
from hybridonn.optics.metasurface import Metasurface, intensity, turn
from hybridonn.optics.psf import integrate_pixels

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


def layout():
    optics = spec.Optics(
        metasurface_width_mm=0.5, metasurface_height_mm=0.5, kernel_site_mm=0.096, gap_mm=0.0048
    )
    return lay_out(optics, 2)


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
