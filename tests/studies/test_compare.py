"""Comparisons: paired, honest, resumable."""

import csv
import json

import numpy as np
import pytest
from scipy import stats

from hybridonn.core.errors import ArtefactError, SpecError
from hybridonn.core.yaml_reading import parse_yaml
from hybridonn.spec import Spec, default_tree, read_spec
from hybridonn.studies.compare import compare, paired_difference, summarise, summarise_values
from hybridonn.studies.methods import parse_grid, parse_methods
from hybridonn.studies.shared_teacher import SharedTeacher
from hybridonn.studies.tune import tune

QUICK = (
    "teacher.training.epochs=3",
    "training.epochs=3",
    "data.train_images=300",
    "tuned.kd.epochs=2",
)


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    """One cache for all: the teacher is trained once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYBRIDONN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def test_the_interval_is_that_of_scipys_paired_test():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=7), rng.normal(size=7)
    found = paired_difference(dict(enumerate(a)), dict(enumerate(b)))
    interval = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert found["mean"] == pytest.approx(np.mean(a - b))
    assert (found["low"], found["high"]) == pytest.approx((interval.low, interval.high))


def test_one_seed_has_no_interval():
    found = paired_difference({0: 0.5}, {0: 0.25})
    assert found == {"mean": 0.25, "low": None, "high": None, "n": 1}


def test_one_seed_is_said_to_have_no_interval():
    rows = [
        {"method": m, "seed": 0, "accuracy": value, "seconds": 1.0}
        for m, value in (("none", 0.9), ("kd", 0.91))
    ]
    found = summarise(rows, "accuracy")
    assert found["sentences"] == ["task + KD - task alone: +1.00 points (one seed: no interval)"]
    for method in found["methods"].values():
        assert (method["low"], method["high"], method["standard_deviation"]) == (None, None, None)


def test_the_interval_of_a_mean_over_seeds_stays_below_100_per_cent():
    values = [1.0, 1.0, 0.97]  # 99 +- 4.3 % by Student's t alone
    found = summarise_values(values)
    assert found["mean"] == pytest.approx(0.99)
    assert 0.9 > found["low"] > 0
    assert 0.99 < found["high"] < 1


def test_a_difference_within_noise_is_said_to_be_one():
    rows = [
        {"method": m, "seed": s, "accuracy": 0.9 + 0.01 * ((s + (m == "kd")) % 2), "seconds": 1.0}
        for m in ("none", "kd")
        for s in range(4)
    ]
    assert "not distinguishable from zero" in summarise(rows, "accuracy")["sentences"][0]


def test_distillation_behind_the_task_alone_is_told_with_its_cure():
    def say(*values):
        rows = [
            {"method": m, "seed": s, "accuracy": value + 0.001 * s * k, "seconds": 1.0}
            for k, (m, value) in enumerate(zip(("none", "kd", "ntkd"), values, strict=True))
            for s in range(4)
        ]
        return summarise(rows, "accuracy")["sentences"][3:]

    assert say(0.8, 0.9, 0.9) == []
    (found,) = say(0.9, 0.7, 0.9)
    assert found.startswith("task + KD is behind the task alone: ")
    assert "distillation.temperature" in found
    (found,) = say(0.9, 0.7, 0.8)
    assert found.startswith("task + KD and task + KD + NTK are behind the task alone: ")


def count_students(monkeypatch):
    calls, real = [], SharedTeacher.train

    def counted(shared, spec, name, progress):
        calls.append(name)
        return real(shared, spec, name, progress)

    monkeypatch.setattr(SharedTeacher, "train", counted)
    return calls


def test_methods_share_seeds_and_one_teacher(tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache"))
    spec = read_spec(None, QUICK)
    folder = tmp_path / "compare"
    comparison = compare(spec, ("none", "kd", "ntkd"), 2, folder)
    assert comparison["seeds"] == [0, 1]
    assert [(d["baseline"], d["method"]) for d in comparison["differences"]] == [
        ("none", "kd"),
        ("none", "ntkd"),
        ("kd", "ntkd"),
    ]
    assert json.loads((folder / "comparison.json").read_text()) == comparison
    rows = list(csv.DictReader((folder / "comparison.csv").open()))
    assert len(rows) == 6
    assert {row["epochs"] for row in rows if row["method"] == "kd"} == {"2"}
    for suffix in (".png", ".svg"):
        assert (folder / f"comparison{suffix}").stat().st_size > 1000
    assert len(list((tmp_path / "cache" / "teachers").iterdir())) == 1
    trained = count_students(monkeypatch)
    again = compare(spec, ("none", "kd", "ntkd"), 2, folder)
    assert again == comparison
    fewer = compare(spec, ("none", "kd"), 1, folder)  # what was asked for is said, all is kept
    assert (list(fewer["methods"]), fewer["seeds"]) == (["none", "kd"], [0])
    assert list(csv.DictReader((folder / "comparison.csv").open())) == rows
    assert not trained
    warmer = read_spec(None, (*QUICK, "tuned.kd.temperature=8.0"))
    compare(warmer, ("none", "kd"), 1, folder)
    assert len(trained) == 1  # only what the change touches, beside what was there
    rows = list(csv.DictReader((folder / "comparison.csv").open()))
    assert [row["tuned.temperature"] for row in rows if row["method"] == "kd"] == ["", "", "8.0"]


def test_tuning_looks_at_validation_and_returns_a_spec(tmp_path, monkeypatch):
    spec, folder = read_spec(None, QUICK), tmp_path / "tune"
    trained = count_students(monkeypatch)
    grid = parse_grid(["learning_rate=0.000001,0.01", "ntk_weight=1,3"])
    text = tune(spec, ("none", "ntkd"), grid, 1, folder)
    rows = read_rows(folder)
    assert len(rows) == len(trained) == 2 + 4  # task alone has no use for ntk_weight
    assert "ntk_weight" not in text.partition("ntkd")[0]
    assert text.count("learning_rate: 0.01") == 2
    assert "# none: learning_rate 0.01 is the highest value tried, at the edge" in text
    assert text == (folder / "tuned.yaml").read_text()
    best = Spec.model_validate(default_tree() | parse_yaml(text, "text", SpecError)).tuned
    assert best.ntkd.learning_rate == best.none.learning_rate == 0.01

    # A second grid adds its rows to the table, and the best is the best of both.
    text = tune(spec, ("none",), parse_grid(["learning_rate=0.01,0.0001"]), 2, folder)
    assert len(trained) == 6 + 3  # two seeds of each rate, one of which was there
    assert [row for row in read_rows(folder) if row["method"] == "ntkd"] == [
        row | {"seed_1": ""} for row in rows if row["method"] == "ntkd"
    ]
    table = {row["learning_rate"]: row for row in read_rows(folder) if row["method"] == "none"}
    assert list(table) == ["1e-06", "0.01", "0.0001"]
    assert (table["1e-06"]["seed_1"], table["0.01"]["seed_0"]) == ("", rows[1]["seed_0"])
    assert "# settings of the table that lack a seed asked for, left out: 1" in text


def read_rows(folder):
    with (folder / "tuning.csv").open() as file:
        return sorted(csv.DictReader(file), key=lambda row: row["method"])


@pytest.mark.parametrize(
    ("grid", "methods", "sentence"),
    [
        ({"learning_rate": [0.01, -1]}, ("kd",), r"tuned\.kd\.learning_rate is -1"),
        ({"epochs": [1], "ntk_weight": [1]}, ("none", "kd"), "--grid ntk_weight: no method of"),
    ],
)
def test_a_grid_is_checked_before_anything_is_trained(tmp_path, grid, methods, sentence):
    with pytest.raises(SpecError, match=sentence):
        tune(read_spec(None, QUICK), methods, grid, 1, tmp_path / "tune")
    assert not (tmp_path / "tune").exists()


def test_what_does_not_fit_the_images_is_refused_before_the_teacher(tmp_path):
    wide = read_spec(None, (*QUICK, "student.pooled_size=9"))
    for study in (
        lambda folder: tune(wide, ("kd",), {"epochs": [1]}, 1, folder),
        lambda folder: compare(wide, ("kd",), 1, folder),
    ):
        with pytest.raises(SpecError, match=r"student\.pooled_size is 9"):
            study(tmp_path / "study")
        assert not (tmp_path / "study").exists()


@pytest.mark.parametrize("study", ["compare", "tune"])
def test_students_of_another_spec_are_not_mixed_in(tmp_path, monkeypatch, study):
    folder, trained = tmp_path / study, count_students(monkeypatch)

    def run(*settings):
        spec = read_spec(None, (*QUICK, *settings))
        if study == "compare":
            return compare(spec, ("none",), 1, folder)
        return tune(spec, ("none",), {"epochs": [1]}, 1, folder)

    run()
    kept = {path: path.read_bytes() for path in folder.glob("*.*")}
    changes = ("data.train_images=200", "student.kernels=4", "training.learning_rate=0.5")
    weights = ("distillation.cwd_weight=9", "distillation.own_weight=9")
    for change in (*changes, *weights):
        with pytest.raises(ArtefactError, match=r"there and .* here.* are not mixed: choose ano"):
            run(change)
    assert kept == {path: path.read_bytes() for path in folder.glob("*.*")}
    run("seed=5")  # the seeds are the study's own
    run("estimate.draws=1")  # no student reads it
    assert len(trained) == 1
    with pytest.raises(ArtefactError, match=f"holds the study {study}, not"):
        other = {"compare": tune, "tune": compare}[study]
        rest = ({"epochs": [1]}, 1) if other is tune else (1,)
        other(read_spec(None, QUICK), ("none",), *rest, folder)


def test_wrong_words_are_refused(tmp_path):
    for text in ("none,kdd", "", "kd,kd"):
        with pytest.raises(SpecError, match="--methods"):
            parse_methods(text)
    with pytest.raises(SpecError, match="did you mean epochs"):
        parse_grid(["epoch=1,2"])
    with pytest.raises(SpecError, match=r"--grid epochs.*is empty"):
        parse_grid(["epochs="])
    with pytest.raises(SpecError, match="--seeds 0"):
        compare(read_spec(None), ("none",), 0, tmp_path / "c")
