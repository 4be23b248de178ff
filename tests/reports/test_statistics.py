"""Intervals: those of scipy where it has them, never beyond what a number can be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, linregress, ttest_rel

from hybridonn.reports.statistics import (
    fit_power_law,
    mean_difference,
    mean_interval,
    rank_interval,
    score_difference,
    share_interval,
    student_quantile,
    wilson_interval,
)

shares = st.floats(0, 1)


@given(st.integers(1, 20000), st.data())
def test_the_wilson_interval_is_scipys(total, data):
    correct = data.draw(st.integers(0, total))
    low, high = wilson_interval(correct, total)
    reference = binomtest(correct, total).proportion_ci(0.95, method="wilson")
    assert low == pytest.approx(reference.low, abs=1e-12)
    assert high == pytest.approx(reference.high, abs=1e-12)
    assert low <= correct / total + 1e-12 and correct / total - 1e-12 <= high


@given(st.lists(shares, min_size=1, max_size=20))
def test_the_interval_of_a_mean_of_shares_stays_within_them(values):
    low, high = mean_interval(np.array(values))
    assert 0 <= low <= np.mean(values) + 1e-9
    assert np.mean(values) - 1e-9 <= high <= 1


@given(shares, st.floats(0, 1), st.integers(1, 10_000))
def test_the_interval_of_an_estimated_share_stays_within_0_and_1(share, error, total):
    low, high = share_interval(share, error, total)
    assert 0 <= low <= share + 1e-9
    assert share - 1e-9 <= high <= 1


def test_in_the_middle_the_interval_of_a_mean_is_students():
    values = np.array([0.51, 0.49, 0.502, 0.498])
    half = student_quantile(3) * values.std(ddof=1) / 2
    assert mean_interval(values) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-5)
    assert share_interval(0.5, 0.001, 100) == pytest.approx((0.49804, 0.50196), abs=1e-5)


def test_near_100_per_cent_the_usual_interval_would_pass_it():
    low, high = share_interval(0.989, 0.0071, 100)  # 98.9 +- 1.4 % ends at 100.3 %
    assert low == pytest.approx(0.9614, abs=1e-3)
    assert high == pytest.approx(0.9969, abs=1e-3)


def test_what_is_always_right_is_not_certain():
    assert share_interval(1.0, 0.0, 40) == pytest.approx(wilson_interval(40, 40))
    low, high = mean_interval(np.ones(5))
    assert (low, high) == (pytest.approx(5 / (5 + student_quantile(4) ** 2)), 1.0)
    assert mean_interval(np.array([0.7])) == (0.0, 1.0)


def test_the_interval_of_a_paired_difference_is_that_of_scipys_test():
    rng = np.random.default_rng(0)
    a, b = rng.uniform(size=(2, 7))
    found, reference = mean_difference(a, b), ttest_rel(a, b).confidence_interval(0.95)
    assert found.mean == pytest.approx(np.mean(a - b))
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high))
    assert found.pairs == 7


def test_a_difference_of_shares_is_at_most_1():
    found = mean_difference(np.array([0.9, 0.3]), np.array([0.1, 0.2]))
    assert (found.low, found.high) == (-1.0, 1.0)  # t at one degree of freedom: +- 4.4
    alone = mean_difference(np.array([0.5]), np.array([0.25]))
    assert (alone.mean, alone.low, alone.high, alone.pairs) == (0.25, None, None, 1)
    assert not alone.clear


def test_right_and_wrong_images_have_bonett_and_prices_interval():
    before = np.repeat([0.0, 1.0, 0.0, 1.0], [20, 5, 25, 50])
    after = np.repeat([1.0, 0.0, 0.0, 1.0], [20, 5, 25, 50])
    found = score_difference(after, before)
    p, q = 21 / 102, 6 / 102
    half = 1.959964 * np.sqrt((p + q - (p - q) ** 2) / 102)
    assert found.mean == pytest.approx(0.15)
    assert (found.low, found.high) == pytest.approx((p - q - half, p - q + half), abs=1e-6)
    assert found.clear
    same = score_difference(before, before)
    assert same.mean == 0
    assert same.low < 0 < same.high
    graded = score_difference(after / 2, before / 2)  # scores of masks: Student's t
    assert graded == mean_difference(after / 2, before / 2)


@given(st.floats(-1, 1), st.integers(4, 200))
def test_a_rank_correlation_lies_in_its_interval(correlation, pairs):
    found = rank_interval(correlation, pairs)
    assert found is not None
    assert -1 <= found[0] <= correlation <= found[1] <= 1
    assert found[1] - found[0] > 0


def test_the_same_order_of_few_designs_proves_little():
    assert rank_interval(1.0, 3) is None
    low, high = rank_interval(1.0, 4)
    assert low < 0 and high == 1
    low, high = rank_interval(1.0, 24)
    assert low > 0.99 and high == 1
    assert rank_interval(0.92, 24) == pytest.approx((0.7927, 0.9704), abs=1e-4)
    assert rank_interval(-0.92, 24) == pytest.approx((-0.9704, -0.7927), abs=1e-4)


def test_the_interval_of_an_exponent_is_that_of_the_line_through_the_logarithms():
    rng = np.random.default_rng(1)
    x = np.repeat([2.0, 8.0, 64.0], 4)
    y = 3 * x**-0.5 * np.exp(0.1 * rng.normal(size=12))
    law = fit_power_law(x, y)
    line = linregress(np.log(x), np.log(y))
    half = student_quantile(10) * line.stderr
    assert (law.exponent, law.points) == (pytest.approx(line.slope), 12)
    assert (law.low, law.high) == pytest.approx((line.slope - half, line.slope + half))
    assert law.holds(-0.5)
    assert not law.holds(-1)


def test_two_widths_fit_any_power_law():
    with pytest.raises(ValueError, match="three different values"):
        fit_power_law(np.array([4.0, 8.0, 4.0]), np.array([1.0, 0.5, 1.1]))
