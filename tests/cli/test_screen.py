"""How numbers are shown."""

import pytest

from hybridonn.cli.screen import _show


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("compensated.held_out.calibrated", 0.5, "50.00 %"),
        ("compensated.held_out.captures", 2, "2"),
        ("compensated.held_out.seconds", 21.9, "21.9 s"),
        ("student.accuracy", 0.5, "50.00 %"),
        ("teacher.intervals.auc", [0.98, 1.0], "98.00 %, 100.00 %"),
        ("", 0.5, "0.5"),
        ("metasurface.gains", [1.5, 2.0], "1.5, 2"),
    ],
)
def test_scores_are_shown_in_per_cent(key, value, shown):
    assert _show(key, value) == shown
