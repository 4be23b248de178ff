"""Random kernels with a trained head: closed forms, the table, resumable."""

import csv
import json

import pytest
import torch

from hybridonn.core.errors import ArtefactError, SpecError
from hybridonn.data import load_dataset
from hybridonn.data.batches import to_scene
from hybridonn.estimation.finite import draw_optical, optical_features
from hybridonn.reports.figures.random_kernels import write_random_kernels
from hybridonn.spec import read_spec
from hybridonn.studies import random_kernels as study
from hybridonn.studies.random_kernels import fit_head, parse_counts, random_kernels

FEW = ("data.train_images=300", "student.pooled_size=2", "student.kernel_size=3")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def spec():
    return read_spec(None, FEW)


@pytest.fixture(scope="module")
def dataset(spec):
    return load_dataset(spec.data)


def draw(spec, dataset, kernels, seed=0):
    student = spec.student.model_copy(update={"kernels": kernels})
    return draw_optical(student, dataset.image_shape, seed)


def test_normal_equations_and_kernel_form_agree(spec, dataset, monkeypatch):
    optical = draw(spec, dataset, 12)
    primal = fit_head(optical, dataset, 1.0)
    assert primal["method"] == "normal equations"
    monkeypatch.setattr(study, "PRIMAL", 10)  # two kernels at a time
    dual = fit_head(optical, dataset, 1.0)
    assert dual["method"] == "exact on 300 images"
    assert dual["lambda"] == primal["lambda"]
    assert dual["accuracy"] == pytest.approx(primal["accuracy"], abs=0.006)


def test_the_head_is_the_ridge_formula(spec, dataset):
    optical = draw(spec, dataset, 5)
    found = fit_head(optical, dataset, 1.0)
    values, tested = (
        optical_features(optical, to_scene(part.images))[0].double()
        for part in (dataset.student_train, dataset.test)
    )
    targets = torch.nn.functional.one_hot(dataset.student_train.labels, 10).double()
    penalty = found["lambda"] * values.square().sum(1).mean() * torch.eye(20)
    right = values.T @ (targets - targets.mean(0))
    head = torch.linalg.solve(values.T @ values + penalty, right)
    predicted = (tested @ head + targets.mean(0)).argmax(1)
    expected = float((predicted == dataset.test.labels).double().mean())
    assert found["accuracy"] == pytest.approx(expected, abs=0.003)


def test_the_table_is_whole_and_resumed(tmp_path, spec):
    folder = tmp_path / "study"
    table = random_kernels(spec, (2, 40), 2, folder)
    assert json.loads((folder / "random_kernels.json").read_text()) == table
    means = {column["kernels"]: column["mean"] for column in table["columns"]}
    assert list(means) == ["2", "40", "infinite"]
    assert means["2"] < means["40"]
    assert table["columns"][0]["standard_deviation"] >= 0
    assert table["columns"][2]["standard_deviation"] is None
    assert table["columns"][2]["low"] is None  # one draw has no interval
    first = table["columns"][0]
    assert 0 <= first["low"] <= first["mean"] <= first["high"] <= 1
    assert len(list(csv.DictReader((folder / "random_kernels.csv").open()))) == 5
    for suffix in (".png", ".svg"):
        assert (folder / f"random_kernels{suffix}").stat().st_size > 1000
    rows = list(csv.DictReader((folder / "random_kernels.csv").open()))
    fewer = random_kernels(spec, (40, 3), 1, folder, infinite=False)  # a table only grows
    assert [column["kernels"] for column in fewer["columns"]] == ["40", "3"]
    grown = list(csv.DictReader((folder / "random_kernels.csv").open()))
    assert [row for row in grown if row["kernels"] != "3"] == rows
    with pytest.raises(ArtefactError, match=r"student\.pooled_size is 2 there and 1 here"):
        random_kernels(read_spec(None, (*FEW, "student.pooled_size=1")), (2,), 1, folder)
    assert list(csv.DictReader((folder / "random_kernels.csv").open())) == grown
    stages = {path: path.stat().st_mtime_ns for path in folder.rglob("stage.json")}
    assert random_kernels(spec, (2, 40), 2, folder) == table
    assert stages == {path: path.stat().st_mtime_ns for path in folder.rglob("stage.json")}


def test_a_sampled_kernel_has_the_stated_features(tmp_path, monkeypatch):
    monkeypatch.setattr("hybridonn.estimation.design_kernel.EXACT_EVALUATIONS", 0)
    methods, written = [], []
    for features in (200, 300):
        spec = read_spec(None, (*FEW, f"estimate.features={features}"))
        table = random_kernels(spec, (2,), 1, tmp_path / "t")
        methods.append(table["columns"][1]["method"].split(";")[0])
        written.append((tmp_path / "t" / "draws" / "2-0" / "stage.json").stat().st_mtime_ns)
    assert methods == [f"NTK from {n} random features a kernel" for n in (200, 300)]
    assert written[0] == written[1]  # two kernels have no features: their fit stands


def test_the_papers_numbers_stand_beside_its_data_sets():
    runs = [{"kernels": "500", "accuracy": 0.9, "seconds": 1.0, "method": "exact"}]
    assert study._column(runs, "500", "mnist")["paper"] == 96.81
    assert study._column(runs, "500", "cifar10")["paper"] == 49.32
    assert study._column(runs, "500", "digits")["paper"] is None


def test_wrong_words_and_files_are_refused(tmp_path, spec):
    assert parse_counts("8,500,infinite") == ((8, 500), True)
    for text in ("", "8,many", "-3"):
        with pytest.raises(SpecError, match="--kernels"):
            parse_counts(text)
    small = read_spec(None, (*FEW, "estimate.memory_gb=0.000001"))
    with pytest.raises(SpecError, match="memory"):  # before the two kernels are fitted
        random_kernels(small, (2,), 1, tmp_path / "m")
    assert not (tmp_path / "m").exists()
    for counts, seeds in (((0,), 1), ((8, 8), 1), ((8,), 0)):
        with pytest.raises(SpecError):
            random_kernels(spec, counts, seeds, tmp_path / "s")
    (tmp_path / "random_kernels.json").write_text("{}")
    with pytest.raises(ArtefactError, match=r"random_kernels\.json"):
        write_random_kernels(tmp_path)
