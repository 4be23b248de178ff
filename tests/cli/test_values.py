"""How numbers are shown."""

import pytest

from hybridonn.cli.values import show


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("compensated.held_out.calibrated", 0.5, "50.00 %"),
        ("compensated.held_out.captures", 2, "2"),
        ("compensated.held_out.seconds", 21.9, "21.9 s"),
        ("student.accuracy", 0.5, "50.00 %"),
        ("deployed.int8.torch_accuracy", 0.5, "50.00 %"),
        ("deployed.c.host_same_largest_output", 1.0, "100.00 %"),
        ("deployed.c.footprint.flash_bytes", 36136, "36.1 kB"),
        ("deployed.latency_us.c", 2.5084, "2.51 us"),
        ("teacher.intervals.auc", [0.98, 1.0], "98.00 %, 100.00 %"),
        ("baseline.teacher_margin", -0.012, "-1.20 points"),
        ("uncompensated.standard_deviation", None, "none"),
        ("compensated.labelled", True, "yes"),
        ("layout_file.minimum_gap_nm", 52.5, "52.5"),  # ends as a measure does, and is none
        ("metasurface.kernel_error", 0.042, "4.20 %"),
        ("", 0.5, "0.5"),
        ("metasurface.gains", [1.5, 2.0], "1.5, 2"),
    ],
)
def test_a_key_tells_how_its_number_is_written(key, value, shown):
    assert show(key, value) == shown
