"""Comparisons: paired, honest, resumable."""

import csv
import json

import numpy as np
import pytest
from scipy import stats

from hybridonn.errors import SpecError
from hybridonn.spec import read_spec
from hybridonn.studies.compare import compare, paired_difference, summarise, summarise_values
from hybridonn.studies.methods import parse_grid, parse_methods
from hybridonn.studies.tune import tune

QUICK = (
    "teacher.training.epochs=3",
    "training.epochs=3",
    "data.train_images=300",
    "tuned.kd.epochs=2",
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache"))


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


def test_methods_share_seeds_and_one_teacher(tmp_path):
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
    again = compare(spec, ("none", "kd", "ntkd"), 2, folder)
    assert again == comparison


def test_tuning_looks_at_validation_and_returns_a_spec(tmp_path):
    spec = read_spec(None, QUICK)
    grid = parse_grid(["learning_rate=0.000001,0.01", "ntk_weight=1,3"])
    text = tune(spec, ("none", "ntkd"), grid, 1, tmp_path / "tune")
    rows = list(csv.DictReader((tmp_path / "tune" / "tuning.csv").open()))
    assert len(rows) == 2 + 4  # task alone has no use for ntk_weight
    assert "ntk_weight" not in text.partition("ntkd")[0]
    assert text.count("learning_rate: 0.01") == 2


def test_wrong_words_are_refused(tmp_path):
    for text in ("none,kdd", "", "kd,kd"):
        with pytest.raises(SpecError, match="--methods"):
            parse_methods(text)
    with pytest.raises(SpecError, match="did you mean epochs"):
        parse_grid(["epoch=1,2"])
    with pytest.raises(SpecError, match="no values"):
        parse_grid(["epochs="])
    with pytest.raises(SpecError, match="--seeds 0"):
        compare(read_spec(None), ("none",), 0, tmp_path / "c")
