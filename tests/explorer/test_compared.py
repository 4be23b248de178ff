"""Runs side by side."""

from __future__ import annotations

import pytest

from hybridonn.core.errors import ArtefactError
from hybridonn.explorer.compared import compare_runs


def test_numbers_have_intervals_and_differences_their_images(runs):
    found = compare_runs({name: runs / name for name in ("good", "better")})
    numbers = {row[0]: row[1:] for row in found.numbers.rows}
    assert numbers["student accuracy"] == (
        "94.4 % (91.6 to 96.4 %)",
        "98.9 % (97.2 to 99.6 %)",
    )
    ((name, gain, ends),) = found.differences.rows
    assert (name, gain) == ("better − good", "+4.4 points")
    assert ends.startswith("+")
    assert found.spec.rows == []
    assert found.figures["good"] == ("figures/kernels.svg",)
    assert found.curves.count("<polyline") == 2


def test_what_cannot_be_compared_is_a_sentence(runs):
    with pytest.raises(ArtefactError, match="1 runs are chosen"):
        compare_runs({"good": runs / "good"})
    with pytest.raises(ArtefactError, match="no finished run"):
        compare_runs({"good": runs / "good", "holiday": runs / "holiday"})
