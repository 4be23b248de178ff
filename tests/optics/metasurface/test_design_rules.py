"""Minimum pillar and gap against a search over all pairs of drawn squares."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridonn.core.errors import OpticsError
from hybridonn.optics.layout.sites import Layout, Site
from hybridonn.optics.metasurface.design_rules import DesignRules, check_rules
from hybridonn.optics.metasurface.pillar_map import NM, make_design

NONE = DesignRules(0.0, 0.0)


def chip(widths, cell_pillars=2, gap_m=2e-6, period_nm=293):
    widths = np.asarray(widths)
    side = max(widths.shape[2:]) * cell_pillars * period_nm * NM
    pitch = side + gap_m
    sites = (Site(0, 0, -pitch / 2, 0, 0, 1), Site(0, 1, pitch / 2, 0, 0, -1))
    return make_design(
        Layout(20e-6, 20e-6, side, gap_m, 1, 2, sites), widths, period_nm * NM, cell_pillars
    )


def search(widths, count, period=293):
    """Distance of the nearest two squares of any sub-optic, every pair looked at."""
    least = np.inf
    for plane in np.asarray(widths, int)[0]:
        full = np.kron(plane[::-1], np.ones((count, count), int))
        rows, columns = np.nonzero(full)
        side = full[rows, columns]
        x = columns * period + (period - side) // 2
        y = rows * period + (period - side) // 2
        for i in range(len(x)):
            dx = np.maximum(np.maximum(x - x[i] - side[i], x[i] - x - side), 0)
            dy = np.maximum(np.maximum(y - y[i] - side[i], y[i] - y - side), 0)
            least = min(least, np.delete(np.hypot(dx, dy), i).min(initial=np.inf))
    return least


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.floats(0, 0.9))
def test_the_smallest_gap_is_that_of_all_pairs(seed, count, empty):
    rng = np.random.default_rng(seed)
    widths = rng.integers(65, 241, (1, 2, 4, 3))
    widths[rng.random(widths.shape) < empty] = 0
    found = check_rules(chip(widths, count), NONE)
    # Pillars two cells apart are never nearer than the least that the rule can break.
    wanted = search(widths, count)
    assert found.gap_m / NM == pytest.approx(wanted) or (found.gap_m > wanted * NM > 200 * NM)
    smallest = widths[widths > 0].min(initial=10**6)
    assert found.feature_m / NM == pytest.approx(smallest) or smallest == 10**6


def test_violations_are_counted_and_the_uppermost_is_located():
    widths = np.full((1, 2, 4, 3), 100)
    widths[0, 1, 1, 2] = widths[0, 1, 3, 0] = 60
    with pytest.raises(OpticsError) as error:
        check_rules(chip(widths), DesignRules())
    text = str(error.value)
    assert text.startswith("2 cells with a pillar below 65 nm (the first 60 nm, at x = ")
    assert "kernel 0, negative part, row 1, column 2)" in text
    # The middle of that cell: the sub-optic's centre, one cell to the right, half a cell up.
    pitch = 4 * 586 * NM + 2e-6
    assert f"x = {(pitch / 2 + 586 * NM) * 1e3:.6f} mm, y = {293e-6:.6f} mm" in text


def test_pillars_and_gaps_are_named_together():
    widths = np.full((1, 2, 2, 2), 245)
    widths[0, 0, 0, 0] = 50
    with pytest.raises(
        OpticsError, match=r"1 cell with a pillar below 65 nm .* and .* a gap below"
    ):
        check_rules(chip(widths), DesignRules())


def test_the_widest_pillars_of_the_published_chip_just_pass():
    assert check_rules(chip(np.full((1, 2, 3, 3), 240)), DesignRules()).gap_m == pytest.approx(
        53 * NM
    )
    with pytest.raises(OpticsError, match="gap below 53 nm"):
        check_rules(chip(np.full((1, 2, 3, 3), 241)), DesignRules())


def test_neighbouring_sub_optics_keep_their_distance():
    with pytest.raises(OpticsError, match=r"enlarge the gap"):
        check_rules(chip(np.full((1, 2, 3, 3), 240), gap_m=-10 * NM), DesignRules())


def test_a_chip_without_pillars_has_no_extremes():
    found = check_rules(chip(np.zeros((1, 2, 3, 3), int)), DesignRules())
    assert (found.feature_m, found.gap_m) == (np.inf, np.inf)
