import numpy as np
import pytest

from hybridonn.core.errors import OpticsError
from hybridonn.optics.metasurface.pillar_map import NM, make_design
from hybridonn.pipeline.from_spec import lay_out_kernels
from hybridonn.spec import Optics

SIZES = {"metasurface_width_mm": 0.03, "metasurface_height_mm": 0.03, "gap_mm": 0.002}
LAYOUT = lay_out_kernels(Optics(kernel_site_mm=0.008, **SIZES), 2)
GOOD = np.full((2, 2, 6, 5), 100)


def test_a_good_design_is_kept_as_it_is():
    design = make_design(LAYOUT, GOOD.astype(float), 293 * NM)
    assert design.widths.dtype == np.uint16
    assert design.pillars == 4 * GOOD.size
    assert design.aperture_m == pytest.approx((5 * 586 * NM, 6 * 586 * NM))
    assert [(k, p, site.sign) for k, p, site in design.sites()] == [
        (0, 0, 1), (0, 1, -1), (1, 0, 1), (1, 1, -1)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, r"1 of 120 pillar widths \(first: kernel 1, negative part, row 2, column 3\) are"),
        (-5, "are negative"),
        (100.5, "whole number of nanometres"),
        (293, "293 nm or more, and pillars stand every 293 nm: they would touch"),
    ],
)
def test_wrong_widths_are_refused(value, message):
    widths = GOOD.astype(float)
    widths[1, 1, 2, 3] = value
    with pytest.raises(OpticsError, match=message):
        make_design(LAYOUT, widths, 293 * NM)


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        (GOOD[0], "shape"),
        (GOOD[:, :1], "shape"),
        (GOOD[:1], "1 kernels, and the layout places 2"),
        (np.full((2, 2, 20, 5), 100), r"20 cells of 586 nm.*does not fit on its site of 0\.008 mm"),
    ],
)
def test_designs_that_do_not_fit_the_layout_are_refused(widths, message):
    with pytest.raises(OpticsError, match=message):
        make_design(LAYOUT, widths, 293 * NM)


def test_a_site_outside_the_metasurface_is_refused():
    from dataclasses import replace

    small = replace(LAYOUT, width_m=0.012e-3)
    with pytest.raises(OpticsError, match=r"a metasurface of 0\.012 x 0\.03 mm"):
        make_design(small, GOOD, 293 * NM)


@pytest.mark.parametrize(("period_m", "pillars"), [(0.0, 2), (-1.0, 2), (293e-9, 0)])
def test_absurd_periods_and_cells_are_refused(period_m, pillars):
    with pytest.raises(OpticsError, match="cannot be built"):
        make_design(LAYOUT, GOOD, period_m, pillars)
