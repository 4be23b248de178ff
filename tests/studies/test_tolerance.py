"""A chip of the digits' student, from fabrication to compensation, by the real stages."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from hybridonn.compensation.acquisition.capture_dataset import (
    CaptureDataset,
    name_image,
    write_captures,
)
from hybridonn.compensation.capture_sampling import choose_captures
from hybridonn.core.errors import ArtefactError, DataError, OpticsError, SpecError
from hybridonn.core.files import read_arrays, write_json
from hybridonn.core.progress import Silent
from hybridonn.pipeline.compensate import compensate_captures, open_trained
from hybridonn.pipeline.run import run
from hybridonn.pipeline.stage import complete
from hybridonn.pipeline.stages.compensated import COMPENSATED
from hybridonn.pipeline.stages.fabricated import FABRICATED, make_chip
from hybridonn.spec import Compensation, Fabrication, read_spec
from hybridonn.studies import tolerance
from hybridonn.studies.reproduce import runs
from hybridonn.studies.reproduce.found import Call
from hybridonn.studies.reproduce.record import Cost, Part, Row, Size
from hybridonn.studies.tolerance import summarise, tolerate
from hybridonn.studies.workers import HERE
from hybridonn.tasks.classification import Classification

QUICK = (
    "teacher.training.epochs=4",
    "training.epochs=8",
    "distillation.method=kd",
    "estimate.train_images=100",
    "estimate.draws=1",
)
ERRORS = {"kernel_noise_fraction": 0.4, "shift_pixels": 0.4, "brightness_fraction": 0.3}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    home = tmp_path_factory.mktemp("chip")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYBRIDONN_CACHE", str(home / "cache"))
        spec = read_spec(None, QUICK)
        run(spec, home / "run")
    update = {
        "fabrication": Fabrication(**ERRORS, camera=True),
        "compensation": Compensation(fraction=0.2),
    }
    spec = spec.model_copy(update=update)
    return spec, home / "run", open_trained(spec, home / "run", None, Silent())


@pytest.fixture(scope="module")
def compensated(finished, tmp_path_factory):
    spec, _, trained = finished
    folder = tmp_path_factory.mktemp("compensated") / "compensated"
    return complete(COMPENSATED, spec, trained.dataset, trained.done, folder, Silent())


def test_a_chip_is_worse_and_says_how_much(finished, tmp_path):
    spec, _, trained = finished
    parts = (trained.dataset, trained.done, tmp_path / "fabricated", Silent())
    stage = complete(FABRICATED, spec, *parts)
    found = stage.results
    assert found["accuracy"] < trained.student.results["accuracy"]
    assert found["drop"] == pytest.approx(found["ideal_accuracy"] - found["accuracy"])
    psfs = read_arrays(tmp_path / "fabricated" / "psf.npz")["psf"]
    assert psfs.min() >= 0
    assert complete(FABRICATED, spec, *parts).reused
    with pytest.raises(OpticsError, match="fabrication is not set"):
        complete(FABRICATED, spec.model_copy(update={"fabrication": None}), *parts)


def test_compensation_wins_back_with_as_many_parameters(compensated):
    found = compensated.results
    assert found["calibrated_accuracy"] > found["uncompensated_accuracy"] + 0.1
    assert found["accuracy"] > found["uncompensated_accuracy"] + 0.1
    assert found["parameters"] == found["parameters_before"]
    assert {"none_accuracy", "kd_accuracy", "ntkd_accuracy"} <= set(found)
    names = {path.name for path in compensated.folder.iterdir()}
    assert {"backend.safetensors", "gains.npz", "methods.csv", "predictions.npz"} <= names
    assert not [name for name in names if "checkpoint" in name]


def test_captures_are_of_training_images_and_of_every_class(finished):
    spec, _, trained = finished
    images = trained.dataset.student_train
    chosen = choose_captures(
        Classification().cover(images.labels, tuple(map(str, range(10)))), spec.compensation
    )
    assert len(chosen) == round(0.2 * len(images)) == len(set(chosen.tolist()))
    assert len(images.labels[chosen].unique()) == 10


@pytest.mark.parametrize("source", ["student", "both"])
def test_without_labels_and_with_the_student_as_tangent_teacher(finished, source, tmp_path):
    spec, _, trained = finished
    settings = {"fraction": 0.1, "labelled": False, "methods": ["kd"], "tangent_teacher": source}
    settings |= {"training": {"epochs": 2}, "judged_fraction": 0}
    settings = Compensation.model_validate(settings)
    own = spec.model_copy(update={"compensation": settings})
    # Were the labels used, wrong ones would show.
    false = torch.zeros_like(trained.dataset.student_train.labels)
    images = replace(trained.dataset.student_train, labels=false)
    spoilt = replace(trained.dataset, student_train=images)
    settings_all = settings.model_copy(update={"fraction": 1.0})
    own = own.model_copy(update={"compensation": settings_all})
    parts = (spoilt, trained.done, tmp_path / "c", Silent())
    found = complete(COMPENSATED, own, *parts).results
    assert found["accuracy"] > 0.6
    bad = settings.model_copy(update={"methods": ("none", "kd")})
    with pytest.raises(SpecError, match="method none learns from labels"):
        complete(COMPENSATED, own.model_copy(update={"compensation": bad}), *parts)


def write_set(spec, trained, folder, parts, count=300, kernels=None):
    chip = make_chip(spec, trained.dataset, trained.student, None, spec.fabrication)
    taken, names = [], []
    for part in parts:
        images = getattr(trained.dataset, part)
        images = images.take(torch.arange(min(count, len(images))))
        taken.append(chip.capture(images, part))
        names += [name_image(part, k) for k in range(len(images))]
    both = torch.cat([one.branches[0] for one in taken]).numpy()[:, :kernels]
    positive, negative = both[:, :, 0], both[:, :, 1]
    ones = np.ones((positive.shape[1], 2), np.float32)
    exposure = np.ones(len(names), np.float32)
    write_captures(
        CaptureDataset(np.array(names), positive, negative, exposure, ones, ones), folder
    )


def test_captures_of_a_camera_are_compensated(finished, tmp_path):
    spec, folder, trained = finished
    write_set(spec, trained, tmp_path / "set", ("student_train", "test"), 100)
    found = compensate_captures(spec, folder, tmp_path / "set", None, Silent())
    assert found["captures"] == 100  # all, whatever a simulated chip would capture
    assert found["accuracy"] > found["uncompensated_accuracy"]
    results = json.loads((folder / "results.json").read_text())
    assert results["compensated"]["accuracy"] == found["accuracy"]


@pytest.mark.parametrize(
    ("parts", "kernels", "sentence"),
    [
        (("test",), None, "no capture to learn from"),
        (("student_train",), None, "no capture to judge by"),
        (("student_train", "test"), 5, "captures of 5 kernels, but the student has 8"),
    ],
)
def test_captures_that_do_not_fit(finished, tmp_path, parts, kernels, sentence):
    spec, folder, trained = finished
    write_set(spec, trained, tmp_path / "set", parts, 30, kernels)
    with pytest.raises(DataError, match=sentence):
        compensate_captures(spec, folder, tmp_path / "set", None, Silent())


def test_captures_of_another_student_are_refused(finished, tmp_path):
    spec, folder, trained = finished
    write_set(spec, trained, tmp_path / "set", ("student_train", "test"), 30)
    write_json(tmp_path / "set" / "captures.json", {"student": "0123456789abcdef"})
    student = trained.student.fingerprint[:12]
    with pytest.raises(
        DataError, match=rf"for the student 0123456789ab, .* the student {student};"
    ):
        compensate_captures(spec, folder, tmp_path / "set", None, Silent())


def test_many_chips_and_one_error_at_a_time(finished, tmp_path, monkeypatch):
    spec, folder, _ = finished
    quick = Compensation.model_validate(
        {"methods": [], "training": {"epochs": 1}, "distillation": {"method": "kd"}}
    )
    spec = spec.model_copy(update={"compensation": quick})
    found = tolerate(spec, folder, 2, 0.9, tmp_path / "many", None, Silent())
    assert [row["chip"] for row in found["chips"]] == [0, 1]
    assert {row["error"] for row in found["alone"]} == {*ERRORS, "camera"}
    assert (tmp_path / "many" / "tolerance.png").stat().st_size > 10_000
    assert found["alone_ideal"] == pytest.approx(found["ideal"])  # all test images are few
    monkeypatch.setattr(tolerance, "complete", lambda *_: pytest.fail("made twice"))
    assert tolerate(spec, folder, 2, 0.9, tmp_path / "many", None, Silent()) == found
    tables = {path: path.read_bytes() for path in (tmp_path / "many").glob("*.csv")}
    fewer = tolerate(spec, folder, 1, 0.9, tmp_path / "many", None, Silent())
    assert len(fewer["chips"]) == 1
    with pytest.raises(ArtefactError, match=r"fabrication\.shift_pixels is 0\.4 there and 0\.1"):
        less = spec.fabrication.model_copy(update={"shift_pixels": 0.1})
        other = spec.model_copy(update={"fabrication": less})
        tolerate(other, folder, 1, 0.9, tmp_path / "many", None, Silent())
    assert {path: path.read_bytes() for path in (tmp_path / "many").glob("*.csv")} == tables
    for chips, threshold, sentence in ((0, 0.9, "--chips 0"), (1, 95, "--threshold 95: allowed")):
        with pytest.raises(SpecError, match=sentence):
            tolerate(spec, folder, chips, threshold, tmp_path / "none", None, Silent())
    assert not (tmp_path / "none").exists()


def test_an_error_alone_is_compared_with_ideal_optics_on_the_same_images(finished, monkeypatch):
    _, _, trained = finished
    answers = read_arrays(trained.student.folder / "predictions.npz")
    right = answers["logits"].argmax(1) == answers["labels"]
    monkeypatch.setattr(tolerance, "ALONE_IMAGES", 100)
    few = tolerance._few(trained.dataset)
    assert len(few) < len(right)
    assert tolerance._score_ideal(trained, few) == pytest.approx(right[few.numpy()].mean())


def test_yield_counts_good_chips():
    rows = [{"chip": k, "kd": value} for k, value in enumerate((0.9, 0.95, 0.99))]
    all_good = summarise(rows, 0.9)["kd"]  # three good chips of three: no certainty
    assert all_good["yield"] == all_good["yield_high"] == 1
    assert all_good["yield_low"] == pytest.approx(3 / (3 + 1.959964**2))
    found = summarise(rows, 0.95)["kd"]
    assert found["yield"] == pytest.approx(2 / 3)
    assert (found["yield_low"], found["yield_high"]) == pytest.approx((0.2077, 0.9385), abs=1e-4)
    assert found["mean"] == pytest.approx(0.9466667)


def test_a_table_of_the_paper_measures_chips_of_a_run_and_shows_its_report(
    finished, tmp_path, monkeypatch
):
    spec, folder, trained = finished
    results = {"student": trained.student.results}
    monkeypatch.setattr(runs, "make_run", lambda *_: (folder, results))
    settings = {"fraction": 0.1, "methods": ["kd"], "training": {"epochs": 1}}
    options = {"run": "run", "compensation": settings, "figures": {"confusion": "Confusions."}}
    rows = [Row("uncompensated", "as fabricated"), Row("calibrated", "calibrated")]
    size = Size(2, Cost(1))
    part = Part("chips", "digits", "chips", "mnist_chip", tuple(rows), size, options=options)
    call = Call(tmp_path / "chips", None, Silent(), HERE)
    found = runs.measure_chips(part, size, rows, spec, call)
    assert [len(found.rows[row.key].values) for row in rows] == [2, 2]
    assert found.rows["calibrated"].seconds > 0
    assert found.sentences[0].startswith("calibrated - as fabricated: +")
    assert not (tmp_path / "chips" / "alone").exists()
    shown = runs.show_run(part, size, [Row("student.accuracy", "student")], spec, call)
    assert shown.rows["student.accuracy"].images == 359
    assert all(path.is_file() for path, _ in shown.figures)
