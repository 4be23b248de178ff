"""The figure of a study of tolerances, from numbers as the study writes them."""

import json
from itertools import pairwise

import numpy as np
import pytest

from hybridonn.core.errors import ArtefactError
from hybridonn.reports.figures.tolerance import draw_tolerance, write_tolerance


def make_study(chips=4, errors=3, **changes):
    """Chips that lose 20 points, of which calibration wins 15 back."""
    rows = [
        {"chip": chip, "uncompensated": 0.7 + 0.01 * chip, "calibrated": 0.85 + 0.02 * chip}
        for chip in range(chips)
    ]
    good = {"yield": 0.5, "yield_low": 0.15, "yield_high": 0.85}
    alone = [
        {"error": f"error {n}", "magnitude": 0.5, "mean": 0.9 - n / 50}
        | {"lowest": 0.8 - n / 50, "highest": 0.9}
        for n in range(errors)
    ]
    named = [("width_noise_nm", 3.0), ("camera", True), ("none", 0.0)]
    for row, (name, magnitude) in zip(alone, named, strict=False):
        row |= {"error": name, "magnitude": magnitude}
    study = {"name": "digits", "metric": "miou", "label": "mIoU", "preset": "paper-mnist"}
    study |= {"threshold": 0.9, "ideal": 0.95, "chips": rows, "alone": alone}
    study |= {"alone_images": 2000, "alone_ideal": 0.94}
    return study | {"summary": dict.fromkeys(("uncompensated", "calibrated"), good)} | changes


def test_every_chip_and_the_mean_of_each_treatment_are_drawn():
    axes = draw_tolerance(make_study()).axes[0]
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(dots[0].get_ydata(), [70, 71, 72, 73])
    np.testing.assert_allclose(dots[1].get_ydata(), [85, 87, 89, 91])
    means = [path.get_segments()[0][0, 1] for path in axes.collections]
    assert means == pytest.approx([71.5, 88])
    levels = [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() in ("--", ":")]
    assert levels == pytest.approx([95, 90])
    assert axes.get_ylabel() == "test mIoU (%)"


def test_a_treatment_is_named_with_its_share_of_good_chips():
    ticks = [tick.get_text() for tick in draw_tolerance(make_study()).axes[0].get_xticklabels()]
    assert ticks[0].split("\n")[0] == "as"
    assert all(tick.endswith("50 %\n[15, 85]") for tick in ticks)
    assert len({tick.count("\n") for tick in ticks}) == 1


def test_errors_are_in_the_order_of_their_cost_with_magnitude_and_unit():
    axes = draw_tolerance(make_study()).axes[1]
    names = [tick.get_text() for tick in axes.get_yticklabels()]
    assert names == ["width noise 3 nm", "camera", "design itself"]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([4, 6, 8])


def test_one_chip_stands_in_the_middle_of_its_column():
    figure = draw_tolerance(make_study(chips=1))
    assert figure.axes[0].lines[0].get_xdata() == pytest.approx([0])
    assert "1 simulated chip," in figure.get_suptitle()


@pytest.mark.parametrize("errors", [1, 31])
def test_no_text_runs_into_another_or_out_of_the_figure(errors):
    figure = draw_tolerance(make_study(errors=errors))
    figure.draw_without_rendering()
    left, right = figure.axes
    for ticks in (left.get_xticklabels(), right.get_yticklabels()):
        boxes = [tick.get_window_extent() for tick in ticks]
        assert not any(a.overlaps(b) for a, b in pairwise(boxes))
    for axis in (left.xaxis, left.yaxis, right.xaxis):
        box = axis.label.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.x1


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "tolerance.json").write_text(json.dumps(make_study()))
    assert all(path.stat().st_size > 5000 for path in write_tolerance(tmp_path))
    for changes in ({"chips": 3}, {"alone": [{}]}):
        (tmp_path / "tolerance.json").write_text(json.dumps(make_study() | changes))
        with pytest.raises(ArtefactError, match=r"tolerance\.json cannot be used"):
            write_tolerance(tmp_path)
