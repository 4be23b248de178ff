"""The runner beside the deployed files."""

import numpy as np
import pytest

from hybridonn.deployment import runner


def test_integers_are_refused_where_no_captures_are_given(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["run.py", "--scene", "image.npy", "--int8"])
    with pytest.raises(SystemExit):
        runner.main()
    assert "--captures" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("task", "name", "written"),
    [("segmentation", "mask.npy", [[1, 0]]), ("depth", "outputs.npy", [[[0, 2]], [[1, 1]]])],
)
def test_outputs_of_another_task_are_written_as_they_are(
    task, name, written, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    outputs = np.array([[[0.0, 2.0]], [[1.0, 1.0]]])
    assert runner.describe(outputs, {"task": task}) == name
    assert np.load(name).tolist() == written


def test_a_class_is_printed_with_its_probability():
    manifest = {"task": "classification", "classes": ["cat", "dog"]}
    assert runner.describe(np.array([0.0, np.log(3.0)]), manifest) == "dog 0.750"


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.full((2, 2), 200.0), "goes from 200 to 200; floats are from 0 to 1"),
        (np.full((2, 2), 200), "holds int64 values"),
        (np.full((2, 2), np.nan), "floats are from 0 to 1"),
        (np.zeros((2, 3), np.uint8), "has the shape"),
    ],
)
def test_scenes_of_another_range_are_refused(image, words):
    """Values from 0 to 255 in floats or int64 were 255 times too bright, without a word."""
    with pytest.raises(ValueError, match=words):
        runner.to_scene(image, {"image_shape": [1, 2, 2]})


def test_counts_of_a_camera_are_no_captures():
    manifest = {"branches": [{"name": "branch_0", "shape": [1, 2, 2]}], "gains": [[1, 1]]}
    for values, words in ((np.uint8(7), "such as a camera counts"), (np.nan, "no number")):
        with pytest.raises(ValueError, match=words):
            runner.subtract({"branch_0": np.full((1, 2, 2, 2), values)}, manifest)
