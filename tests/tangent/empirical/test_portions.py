"""Portions cover everything once, are of like size, and never empty."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridonn.tangent.empirical.portions import chunks


@given(total=st.integers(1, 200), size=st.floats(0, 300), start=st.integers(0, 9))
def test_portions_cover_everything_once(total, size, start):
    parts = list(chunks(total, size, start))
    covered = [number for part in parts for number in range(part.start, part.stop)]
    assert covered == list(range(start, start + total))
    sizes = [part.stop - part.start for part in parts]
    assert max(sizes) <= max(size, 1)
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    ("size", "count"), [(float("inf"), 1), (10, 1), (9.9, 2), (3, 4), (0.1, 10)]
)
def test_there_are_as_few_as_can_be(size, count):
    assert len(list(chunks(10, size))) == count
