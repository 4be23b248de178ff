"""Estimates against training: spread designs, honest statistics, resumable."""

import csv
import json
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from hybridonn.errors import ArtefactError, SpecError
from hybridonn.reports.ranking import write_ranking
from hybridonn.spec import Student, read_spec
from hybridonn.studies.designs import spread_designs
from hybridonn.studies.ranking import parse_kernels, rank, spearman, spearman_interval, summarise

QUICK = (
    "training.epochs=2",
    "data.train_images=200",
    "estimate.test_images=150",
    "estimate.draws=2",
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


def test_rank_correlation_is_scipys_and_its_interval_holds_it():
    rng = np.random.default_rng(0)
    a = rng.normal(size=30).round(1)  # with ties
    b = a + rng.normal(size=30)
    expected = stats.spearmanr(a, b).statistic
    assert spearman(a, b) == pytest.approx(expected)
    low, high = spearman_interval(a, b)
    assert low < expected < high
    assert spearman(np.ones(4), np.arange(4.0)) == 0.0


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
    found = rank(spec, 4, 2, ("design", "infinite"), folder)
    assert json.loads((folder / "ranking.json").read_text()) == found
    rows = list(csv.DictReader((folder / "ranking.csv").open()))
    assert len(rows) == 4
    for row in rows:
        assert 0 < float(row["design"]) <= 1
        assert float(row["trained_low"]) <= float(row["trained"]) <= float(row["trained_high"])
    for suffix in (".png", ".svg"):
        assert (folder / f"ranking{suffix}").stat().st_size > 1000
    weights = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    assert len(weights) == 8
    assert rank(spec, 4, 2, ("design", "infinite"), folder) == found
    assert weights == {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}


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
