"""Kernels first against end to end as a figure."""

import json

from hybridonn.reports.figures.strategies import draw_strategies, write_strategies

POINT = {"epochs": 1, "cropped": 0.9, "seconds": 2.0, "evaluations": 160.0}


def make_table():
    # Seeds that agree: an end of their interval lies beyond the mean by rounding.
    equal = {"mean": 0.98, "low": 0.98 + 1e-16, "high": 0.98 - 1e-16}
    varied = {"mean": 0.8, "low": 0.7, "high": 0.85}
    points = [
        {"variant": name, "label": name} | POINT | values
        for name, values in (("kernels_first", equal), ("lens", varied))
    ]
    return {"points": points, "label": "accuracy", "seeds": [0, 1], "design": "a"}


def test_each_strategy_has_a_line_and_what_cropping_claims():
    figure = draw_strategies(make_table())
    axes = figure.axes[0]
    assert len(figure.axes) == 2
    assert axes.get_xlabel() == "PSF evaluations, forth and back"
    labels = axes.get_legend_handles_labels()[1]
    assert {"kernels_first", "lens", "claimed by cropped PSFs"} == set(labels)


def test_it_is_written_from_the_numbers(tmp_path):
    (tmp_path / "strategies.json").write_text(json.dumps(make_table()))
    assert all(path.stat().st_size > 1000 for path in write_strategies(tmp_path))
