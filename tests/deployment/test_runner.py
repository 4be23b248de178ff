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
