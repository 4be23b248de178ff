"""The front door: a finished run is opened, asked and refused from its folder alone."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import hybridonn
from hybridonn.core.errors import ArtefactError, DataError
from hybridonn.core.files import read_arrays, read_json, write_json

QUICK = ("teacher.training.epochs=1", "training.epochs=1", "estimate.draws=1")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A tiny run on the embedded digits."""
    folder = tmp_path_factory.mktemp("front")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYBRIDONN_CACHE", str(folder / "cache"))
        spec = folder / "spec.yaml"
        spec.write_text("name: front\n")
        hybridonn.run(hybridonn.read_spec(str(spec), QUICK), str(folder / "run"))
    return folder / "run"


def test_a_run_gives_back_its_networks_and_numbers(finished):
    run = hybridonn.load_run(finished)
    assert (
        run.results["student"]["accuracy"]
        == read_json(finished / "results.json")["student"]["accuracy"]
    )
    assert run.classes == tuple("0123456789") and run.image_shape == (1, 8, 8)
    scene = torch.rand(3, 1, 8, 8)
    assert run.student()(scene).shape == run.teacher()(scene).shape == (3, 10)
    assert not run.student().training and run.frontend().kernels == run.spec.student.kernels


def test_its_predictions_are_those_of_the_run(finished):
    from sklearn.datasets import load_digits

    kept = read_arrays(finished / "student" / "predictions.npz")
    images = (load_digits().images * 255 / 16).round().astype(np.uint8)
    found = hybridonn.predict(str(finished), images)
    accuracy = np.mean(found.predicted.numpy() == load_digits().target)
    stated = (kept["logits"].argmax(1) == kept["labels"]).mean()
    assert accuracy == pytest.approx(stated, abs=0.08)
    assert found.names[:3] == [found.classes[index] for index in found.predicted[:3].tolist()]


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 1, 8, 8), np.float32),
        np.zeros((2, 3, 8, 8), np.uint8),
        np.zeros((2, 1, 9, 8), np.uint8),
        np.zeros((0, 1, 8, 8), np.uint8),
    ],
)
def test_other_images_are_refused(finished, images):
    with pytest.raises(DataError, match="found"):
        hybridonn.predict(finished, images)


def test_no_run_is_refused(finished, tmp_path):
    with pytest.raises(ArtefactError, match="no run folder"):
        hybridonn.load_run(tmp_path)
    (tmp_path / "spec.yaml").write_text((finished / "spec.yaml").read_text())
    with pytest.raises(ArtefactError, match="not finished"):
        hybridonn.load_run(tmp_path)
    write_json(tmp_path / "record.json", {"data": {}})
    with pytest.raises(ArtefactError, match="classes"):
        _ = hybridonn.load_run(tmp_path).classes


def test_the_front_door_opens_in_a_moment():
    """``import hybridonn`` takes no library: it must answer in under 0.3 s."""
    code = (
        "import sys, hybridonn; "
        "print(sorted({'torch', 'numpy', 'pydantic', 'scipy'} & set(sys.modules)), "
        "sorted(hybridonn.__all__) == [n for n in dir(hybridonn) if n in hybridonn.__all__])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["[]", "True"]


def test_what_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = hybridonn.nothing
