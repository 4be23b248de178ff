import json

import numpy as np
import pytest
from PIL import Image

from hybridonn.core.errors import ArtefactError
from hybridonn.reports.figures.comparison import draw_comparison, write_comparison


def written(figure):
    return " ".join(text.get_text() for axes in figure.axes for text in axes.texts)


def test_every_seed_is_a_line_across_the_methods(comparison):
    left = draw_comparison(comparison).axes[0]
    values = 100 * np.array([method["values"] for method in comparison["methods"].values()])
    lines = [line.get_ydata() for line in left.lines[: len(comparison["seeds"])]]
    assert np.allclose(np.array(lines).T, values)
    assert [label.get_text() for label in left.get_xticklabels()] == [
        "task alone",
        "task + KD",
        "task + KD + NTK",
    ]


def test_differences_are_written_in_points_with_their_interval(comparison):
    figure = draw_comparison(comparison)
    assert "+1.80  [+1.30, +2.30]" in written(figure)
    assert "+0.60  [−0.10, +1.30]" in written(figure)
    labels = [label.get_text() for label in figure.axes[1].get_yticklabels()]
    assert labels[-1] == "task + KD + NTK\n− task + KD"


def test_a_near_teacher_is_a_line_and_a_far_one_a_note(comparison):
    far = draw_comparison(comparison)
    assert "↑ teacher 99.30" in written(far)
    assert far.axes[0].get_ylim()[1] < 97
    near = draw_comparison(comparison | {"teacher": 0.955})
    assert "↑" not in written(near)
    assert near.axes[0].get_ylim()[1] > 95.5
    assert "teacher" not in written(draw_comparison(comparison | {"teacher": None}))


def test_one_seed_has_no_deviation_and_no_interval(comparison):
    for method in comparison["methods"].values():
        method["values"] = method["values"][:1]
        method["standard_deviation"] = None
    figure = draw_comparison(comparison | {"seeds": [0], "differences": []})
    assert len(figure.axes) == 1
    assert "nan" not in written(figure)
    assert "(one seed:\nno interval)" in written(figure)
    difference = {"method": "kd", "baseline": "none", "mean": 0.01, "low": None, "high": None}
    figure = draw_comparison(comparison | {"seeds": [0], "differences": [difference]})
    assert "+1.00  (one pair: no interval)" in written(figure)
    assert "nan" not in written(figure)


def test_the_comparison_is_written_beside_its_numbers(comparison, tmp_path):
    (tmp_path / "comparison.json").write_text(json.dumps(comparison))
    png, svg = write_comparison(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "comparison.json",
        "comparison.png",
        "comparison.svg",
    }
    assert svg.read_text().lstrip().startswith("<?xml")
    with Image.open(png) as image:
        assert np.asarray(image.convert("L"), dtype=float).std() > 10


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (lambda tree: tree.pop("methods"), "methods"),
        (lambda tree: tree["methods"]["kd"].pop("mean"), "mean"),
        (lambda tree: tree["methods"]["kd"]["values"].pop(), "kd has 4 values for 5 seeds"),
        (lambda tree: tree["methods"]["kd"].update(mean="high"), "wrong kind"),
        (lambda tree: tree.update(methods={}), "no methods"),
    ],
)
def test_a_damaged_comparison_is_named(comparison, tmp_path, edit, found):
    edit(comparison)
    (tmp_path / "comparison.json").write_text(json.dumps(comparison))
    with pytest.raises(ArtefactError, match=found) as caught:
        write_comparison(tmp_path)
    assert str(tmp_path / "comparison.json") in str(caught.value)
    assert not (tmp_path / "comparison.png").exists()
    with pytest.raises(ArtefactError, match="missing"):
        write_comparison(tmp_path / "elsewhere")
