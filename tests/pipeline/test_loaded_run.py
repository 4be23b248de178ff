"""The front door: a finished run is opened, asked and refused from its folder alone."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import hybridonn
from hybridonn.core.errors import ArtefactError, DataError, SpecError
from hybridonn.core.files import read_arrays, read_json, write_json
from hybridonn.pipeline.stage_folder import write_record

IMAGES = np.zeros((2, 8, 8), np.uint8)
QUICK = (
    "teacher.training.epochs=1",
    "training.epochs=1",
    "estimate.draws=1",
)


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


def test_a_run_without_a_compensated_chip_says_so(finished):
    with pytest.raises(ArtefactError, match=r"no chip of .* was compensated"):
        hybridonn.load_run(finished).compensated()


def test_costs_are_those_of_the_command(finished):
    by_run, by_folder = hybridonn.cost(hybridonn.load_run(finished)), hybridonn.cost(str(finished))
    assert [one.as_row() for one in by_run] == [one.as_row() for one in by_folder]


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


def copy_run(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def test_weights_are_not_used_with_a_spec_that_they_were_not_made_with(finished, tmp_path):
    folder = copy_run(finished, tmp_path)
    text = (folder / "spec.yaml").read_text()
    assert "pooling: average" in text
    (folder / "spec.yaml").write_text("# mine\n" + text)
    hybridonn.load_run(folder).student()  # a comment changes nothing
    run = hybridonn.load_run(folder)
    (folder / "spec.yaml").write_text(text.replace("pooling: average", "pooling: max"))
    for use in (lambda: hybridonn.load_run(folder), run.student, run.teacher, run.frontend):
        with pytest.raises(ArtefactError, match=r"spec\.yaml is not the spec .* restore it"):
            use()


def test_a_stage_of_an_interrupted_later_run_is_not_used(finished, tmp_path):
    folder = copy_run(finished, tmp_path)
    record = read_json(folder / "student" / "stage.json")
    write_record(folder / "student", "f" * 64, record["results"])
    with pytest.raises(ArtefactError, match=r"student stage of .* does not belong to the run"):
        hybridonn.load_run(folder).student()
    hybridonn.load_run(folder).teacher()


@pytest.mark.parametrize("classes", [None, 10, [], ["a", 1], "0123456789", {"a": 1}])
def test_classes_that_are_no_names_are_refused(finished, tmp_path, classes):
    refuse_record(copy_run(finished, tmp_path), "does not say the classes", classes=classes)


@pytest.mark.parametrize(
    "shape", ["abc", [1, 8], [1, -8, 8], [1, 0, 8], [1, 8.0, 8], [True, 8, 8], None, 8, [[1], 8, 8]]
)
def test_shapes_of_images_that_are_none_are_refused(finished, tmp_path, shape):
    refuse_record(copy_run(finished, tmp_path), "does not say the image_shape", image_shape=shape)


@pytest.mark.parametrize("classes", [list("9876543210"), ["0"] * 10, list("abcdefghij")])
def test_a_record_that_was_changed_is_refused(finished, tmp_path, classes):
    refuse_record(copy_run(finished, tmp_path), "does not fit its own checksum", classes=classes)
    path = tmp_path / "copy" / "record.json"
    record = read_json(path)
    del record["checksum"]
    write_json(path, record)
    with pytest.raises(ArtefactError, match="holds no checksum"):
        hybridonn.load_run(path.parent)
    write_json(path, [record])
    with pytest.raises(ArtefactError, match="holds no mapping"):
        hybridonn.load_run(path.parent)


def refuse_record(folder, found, **data):
    record = read_json(folder / "record.json")
    write_json(folder / "record.json", record | {"data": record["data"] | data})
    for use in (hybridonn.load_run, lambda folder: hybridonn.predict(folder, IMAGES)):
        with pytest.raises(ArtefactError, match=found):
            use(folder)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda results: [results], "numbers by stage"),
        (lambda results: {**results, "student": 1}, "numbers by stage"),
        (lambda results: {**results, "student": {"accuracy": 1.0}}, "the stage itself says"),
        (lambda results: results["student"] | {"accuracy": "high"}, "numbers by stage"),
    ],
)
def test_results_that_contradict_the_stages_are_refused(finished, tmp_path, change, found):
    folder = copy_run(finished, tmp_path)
    write_json(folder / "results.json", change(read_json(folder / "results.json")))
    with pytest.raises(ArtefactError, match=found):
        _ = hybridonn.load_run(folder).results


@pytest.mark.parametrize(
    "images",
    [
        "images.png",
        None,
        {"images": 1},
        np.array([None, "a"]),
        np.array(["2020-01-01"], "M8[D]"),
        np.array([1 + 2j]),
        [[1, 2], [3]],
        [np.zeros((8, 8), np.uint8), np.zeros((9, 9), np.uint8)],
        b"bytes",
        object(),
        3,
        10**30,
        [],
    ],
)
def test_what_is_no_array_of_images_is_refused(finished, images):
    with pytest.raises(DataError, match=r"found .*the run takes \(N, 1, 8, 8\) of type"):
        hybridonn.predict(finished, images)


@pytest.mark.parametrize("folder", [None, 3, b"runs", ["runs"], "x" * 5000, "a\0b"])
def test_what_is_no_path_of_a_run_is_refused(folder):
    with pytest.raises(ArtefactError, match="run folder"):
        hybridonn.load_run(folder)
    with pytest.raises(ArtefactError, match="run folder"):
        hybridonn.predict(folder, IMAGES)


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


def test_a_path_in_place_of_a_spec_is_refused(tmp_path):
    with pytest.raises(SpecError, match=r"a str; give what hybridonn\.read_spec returns"):
        hybridonn.run("mine.yaml", tmp_path / "run")
    assert not (tmp_path / "run").exists()
