import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from hybridonn.reports.statistics import wilson_interval


@given(st.integers(1, 20000), st.data())
def test_the_wilson_interval_is_scipys(total, data):
    correct = data.draw(st.integers(0, total))
    low, high = wilson_interval(correct, total)
    reference = binomtest(correct, total).proportion_ci(0.95, method="wilson")
    assert low == pytest.approx(reference.low, abs=1e-12)
    assert high == pytest.approx(reference.high, abs=1e-12)
    assert low <= correct / total + 1e-12 and correct / total - 1e-12 <= high
