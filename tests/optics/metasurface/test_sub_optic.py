"""The geometry of a sub-optic, and which way up its image is."""

import math

import pytest
import torch

from hybridonn.core.errors import OpticsError
from hybridonn.optics.metasurface.sub_optic import Metasurface, fit_metasurface, measure_psf

NM, UM, MM = 1e-9, 1e-6, 1e-3
RGB = (635 * NM, 532 * NM, 450 * NM)


def test_the_authors_chip():
    found = fit_metasurface(0.938 * MM, 293 * NM, 2, 11.72 * UM, 2.4 * MM, RGB)
    assert (found.cells, found.pixel_cells) == (1600, 20)
    assert found.cell_m == pytest.approx(586 * NM)
    # (2 z tan(asin(450 / 1172)) - 1600 cells) / 20 cells = 89.9
    assert found.widest_picture == 89


def test_light_to_the_right_and_down_is_up_and_to_the_left_in_the_upright_picture():
    surface = Metasurface(0.6 * UM, 80, 100 * UM, 4, (532 * NM,))
    x = (torch.arange(80) - 39.5).double() * 0.6 * UM
    r = torch.sqrt((x[:, None] - 6 * UM) ** 2 + (x[None] - 3 * UM) ** 2 + (100 * UM) ** 2)
    lens = torch.exp(-2j * math.pi / (532 * NM) * r)[None].cfloat()
    psf = measure_psf(lens, surface, surface.propagator(9))[0]
    row, column = divmod(int(psf.argmax()), 9)
    # 6 um down are 2.5 pixels of 2.4 um, 3 um to the right are 1.25.
    assert (row, column) in {(1, 3), (2, 3)}
    assert 0.8 < psf.sum() < 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixel_m": 11.5 * UM}, r"19\.6246 cells of 586 nm.*the pixel 11\.72"),
        ({"site_m": 0.005 * MM}, r"0\.005 mm holds 8 cells.*20"),
        ({"bayer": True, "wavelengths_m": RGB[:1]}, "Bayer mosaic needs three wavelengths"),
    ],
)
def test_what_cannot_be_is_refused(change, message):
    sizes = {
        "site_m": 0.938 * MM,
        "period_m": 293 * NM,
        "cell_pillars": 2,
        "pixel_m": 11.72 * UM,
        "distance_m": 2.4 * MM,
        "wavelengths_m": RGB,
    }
    with pytest.raises(OpticsError, match=message):
        fit_metasurface(**sizes | change)
