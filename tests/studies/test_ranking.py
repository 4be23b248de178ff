"""Estimates against training: spread designs, honest statistics, resumable."""

import csv
import json
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from hybridonn.core.errors import ArtefactError, SpecError
from hybridonn.core.files import read_tensors
from hybridonn.reports.figures.ranking import say_correlation, write_ranking
from hybridonn.spec import Student, read_spec
from hybridonn.studies.designs import spread_designs
from hybridonn.studies.rank_correlation import spearman
from hybridonn.studies.ranking import parse_kernels, rank, summarise

QUICK = (
    "training.epochs=2",
    "data.train_images=200",
    "estimate.test_images=150",
    "estimate.draws=2",
    "teacher.training.epochs=1",
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache"))


def test_designs_are_spread_out_and_always_the_same():
    designs = spread_designs(Student(), (1, 28, 28), 24)
    assert designs == spread_designs(Student(), (1, 28, 28), 24)
    assert len({design.name for design in designs}) == 24
    assert designs != spread_designs(Student(), (1, 28, 28), 24, seed=1)
    for key in ("kernels", "kernel_size", "pooled_size", "stride", "hidden"):
        counts = Counter(getattr(design.student, key) for design in designs)
        assert max(counts.values()) - min(counts.values()) <= 1
    assert designs[0].name == "k2-3x3-p6-s1-h160x80"  # the list that the docs show


def test_designs_fit_small_images_and_keep_the_base():
    for design in spread_designs(Student(pooling="max"), (1, 8, 8), 40):
        assert design.student.pooled_size <= 4
        assert design.student.kernel_size <= 7
        assert design.student.pooling == "max"


@pytest.mark.parametrize("count", [2, 10_000])
def test_impossible_numbers_of_designs_are_refused(count):
    with pytest.raises(SpecError, match=f"--designs {count}: allowed is 3 to"):
        spread_designs(Student(), (1, 28, 28), count)


def test_rank_correlation_is_scipys():
    rng = np.random.default_rng(0)
    a = rng.normal(size=30).round(1)  # with ties
    b = a + rng.normal(size=30)
    assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)
    assert spearman(np.ones(4), np.arange(4.0)) is None  # what is constant has no order


def make_rows(estimated, trained):
    seconds = {"trained_seconds": 4.0, "design_seconds": 1.0}
    return [{"trained": t, "design": e} | seconds for e, t in zip(estimated, trained, strict=True)]


def test_the_same_order_of_few_designs_is_not_certain():
    found = summarise(make_rows((0.1, 0.2, 0.3, 0.4), (0.5, 0.6, 0.7, 0.8)), ("design",))
    numbers = found["estimates"]["design"]
    assert numbers["spearman"] == pytest.approx(1)
    assert (numbers["spearman_low"] < 0, numbers["spearman_high"]) == (True, 1.0)
    assert say_correlation(numbers).startswith("1.000 [-0.8")


def test_where_there_is_no_interval_it_is_said():
    few = summarise(make_rows((0.1, 0.2, 0.3), (0.5, 0.7, 0.6)), ("design",))["estimates"]["design"]
    assert (few["spearman_low"], few["spearman_high"]) == (None, None)
    assert say_correlation(few) == "0.500 (fewer than 4 designs: no interval)"
    equal = summarise(make_rows((0.1, 0.2, 0.3, 0.4), 4 * (0.5,)), ("design",))["estimates"]
    assert say_correlation(equal["design"]) == "none: all are equal"


def test_the_bias_has_the_interval_of_paired_differences():
    estimated, trained = (0.6, 0.7, 0.9, 0.95), (0.5, 0.72, 0.8, 0.9)
    found = summarise(make_rows(estimated, trained), ("design",))["estimates"]["design"]
    interval = stats.ttest_rel(estimated, trained).confidence_interval(0.95)
    ends = (found["bias_points_low"], found["bias_points_high"])
    assert ends == pytest.approx((100 * interval.low, 100 * interval.high))


def test_errors_regret_and_cost_are_those_of_a_hand_count():
    rows = [
        {"trained": t, "design": e, "trained_seconds": 4.0, "design_seconds": 1.0}
        for t, e in ((0.5, 0.6), (0.7, 0.9), (0.9, 0.8))
    ]
    found = summarise(rows, ("design",))["estimates"]["design"]
    assert found["mean_error_points"] == pytest.approx(40 / 3)
    assert found["bias_points"] == pytest.approx(20 / 3)
    assert found["regret_points"] == pytest.approx(20)
    assert found["time_share"] == pytest.approx(0.25)
    assert found["spearman"] == pytest.approx(0.5)


def test_the_study_is_whole_and_resumed(tmp_path):
    spec = read_spec(None, QUICK)
    folder = tmp_path / "study"
    found = rank(spec, 4, 2, ("design", "infinite"), folder, similar=True)
    similar = found["similarity"]
    assert len(set(similar["designs"].values())) == 4
    assert all(0 < value < 1 for value in similar["designs"].values())
    assert similar["time_share"] > 0
    assert -1 <= similar["spearman_low"] <= similar["spearman"] <= similar["spearman_high"] <= 1
    assert json.loads((folder / "ranking.json").read_text()) == found
    rows = list(csv.DictReader((folder / "ranking.csv").open()))
    assert len(rows) == 4
    for row in rows:
        assert 0 < float(row["design_low"]) < float(row["design"]) < float(row["design_high"]) < 1
        assert float(row["trained_low"]) <= float(row["trained"]) <= float(row["trained_high"])
    for suffix in (".png", ".svg"):
        assert (folder / f"ranking{suffix}").stat().st_size > 1000
    weights = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    assert len(weights) == 8 + 2  # of the students; of the teacher with its kernel
    assert rank(spec, 4, 2, ("design", "infinite"), folder, similar=True) == found
    assert weights == {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    scores = next((folder / "estimates" / "design").glob("*/scores.npz"))
    assert found["test_images"] == len(np.load(scores)["scores"]) == 150  # the same for both

    # Other designs and fewer seeds: the table keeps what was there, the answer is what was asked.
    other = rank(read_spec(None, (*QUICK, "seed=1")), 3, 1, ("design",), folder)
    assert len(other["designs"]) == 3
    assert {row["seeds"] for row in other["designs"]} == {1}
    grown = list(csv.DictReader((folder / "ranking.csv").open()))
    assert len(grown) > 4
    assert grown[:4] == rows
    with pytest.raises(ArtefactError, match=r"training\.epochs is 2 there and 3 here"):
        rank(read_spec(None, (*QUICK, "training.epochs=3")), 3, 1, ("design",), folder)
    assert list(csv.DictReader((folder / "ranking.csv").open())) == grown


def test_designs_are_trained_behind_the_optics_of_the_spec(tmp_path):
    optics = "optics={frontend: four_f, four_f: {mask_pixels: 35}}"
    spec = read_spec(None, (*QUICK, "data.train_images=100", optics))
    rank(spec, 3, 1, ("design",), tmp_path / "study")
    names = set()
    for path in (tmp_path / "study").glob("students/*/weights.safetensors"):
        names |= set(read_tensors(path)[0])
    assert any(name.startswith("frontend.pixels") for name in names), names


def test_wrong_words_and_files_are_refused(tmp_path):
    for text in ("", "desing", "design,design"):
        with pytest.raises(SpecError, match="--kernels"):
            parse_kernels(text)
    assert parse_kernels("infinite, design") == ("design", "infinite")
    with pytest.raises(SpecError, match="--seeds 0"):
        rank(read_spec(None), 4, 0, ("design",), tmp_path / "s")
    (tmp_path / "ranking.json").write_text("{}")
    with pytest.raises(ArtefactError, match=r"ranking\.json"):
        write_ranking(tmp_path)
