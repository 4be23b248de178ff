"""Every study gives its workers plain data, and its runs come to the same results there."""

import csv
import json

import pytest

from hybridonn.core.progress import Silent
from hybridonn.pipeline.run import run
from hybridonn.spec import Fabrication, read_spec
from hybridonn.studies import engine
from hybridonn.studies.compare import compare
from hybridonn.studies.perturbation import perturb
from hybridonn.studies.random_kernels import random_kernels
from hybridonn.studies.ranking import rank
from hybridonn.studies.runs import Desk, Outcome
from hybridonn.studies.tolerance import tolerate
from hybridonn.studies.tune import tune
from hybridonn.studies.tune_compensation import tune_compensation

QUICK = (
    "teacher.training.epochs=1",
    "training.epochs=1",
    "data.train_images=150",
    "estimate.train_images=100",
    "estimate.test_images=100",
    "estimate.draws=1",
    "student.kernels=2",
    "student.kernel_size=3",
)
SPEC = read_spec(None, QUICK)
CHIP = SPEC.model_copy(update={"fabrication": Fabrication(kernel_noise_fraction=0.1 + 0.2)})

STUDIES = {
    "compare": lambda folder, run: compare(SPEC, ("none", "ntkd"), 1, folder),
    "tune": lambda folder, run: tune(SPEC, ("none",), {"learning_rate": [0.1 + 0.2]}, 1, folder),
    "ranking": lambda folder, run: rank(SPEC, 3, 1, ("design",), folder),
    "random kernels": lambda folder, run: random_kernels(SPEC, (2,), 1, folder),
    "perturbation": lambda folder, run: perturb(
        SPEC, [2, 3, 4], [0.1 + 0.2], 1, folder, None, Silent()
    ),
    "tolerance": lambda folder, run: tolerate(CHIP, run, 1, 0.9, folder, None, Silent()),
    "tune-compensation": lambda folder, run: tune_compensation(
        CHIP, run, ("none",), {"epochs": [1]}, 1, folder, None, Silent()
    ),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    home = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYBRIDONN_CACHE", str(home / "cache"))
        run(SPEC, home / "run")
        yield home / "run"


def read_rows(folder):
    """All rows by key, without times."""
    trees = [json.loads(path.read_text()) for path in (folder / "rows").rglob("*.json")]
    return {tree["key"]: drop_times(tree["value"]) for tree in trees if "key" in tree}


def drop_times(value):
    if isinstance(value, dict):
        return {key: drop_times(one) for key, one in value.items() if "seconds" not in key}
    return [drop_times(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("study", STUDIES)
def test_a_worker_comes_to_the_same_results(tmp_path, finished, monkeypatch, study):
    STUDIES[study](tmp_path / "here", finished)
    texts, desk = [], Desk()

    def map_as_a_worker(jobs, *_):
        for job in jobs:
            texts.append(job.to_text())
            yield Outcome(job, desk.work(texts[-1]))

    monkeypatch.setattr(engine, "_map", map_as_a_worker)
    STUDIES[study](tmp_path / "there", finished)
    rows = read_rows(tmp_path / "here")
    assert len(texts) == len(rows) > 0
    assert read_rows(tmp_path / "there") == rows
    for table in (tmp_path / "here").glob("*.csv"):
        assert read_table(tmp_path / "there" / table.name) == read_table(table)


def read_table(path):
    with path.open() as file:
        return [drop_times(row) for row in csv.DictReader(file)]
