"""How far the stage ``student`` follows a teacher: until it has left it behind."""

import csv
import math

import pytest

from hybridonn.core.progress import Silent
from hybridonn.data import load_dataset
from hybridonn.pipeline.stage_table import make_stages
from hybridonn.pipeline.stages.alignment import ALIGNMENT
from hybridonn.pipeline.stages.student import PLAIN_STUDENT
from hybridonn.pipeline.stages.teacher import TEACHER, read_validation
from hybridonn.pipeline.stages.teacher_targets import TEACHER_TARGETS
from hybridonn.spec import read_spec

STAGES = (TEACHER, ALIGNMENT, TEACHER_TARGETS, PLAIN_STUDENT)


def read_history(done, name):
    with (done[name].folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache"))

    def run(*settings):
        spec = read_spec(None, ("training.epochs=10", *settings))
        dataset = load_dataset(spec.data)
        return make_stages(spec, dataset, tmp_path / "run", Silent(), STAGES), dataset

    return run


def test_the_kernel_of_a_poor_teacher_is_matched_until_the_student_is_ahead(run):
    done, dataset = run("teacher.training.epochs=1")
    score = read_validation(done["teacher"].folder, "accuracy")
    assert score == float(read_history(done, "teacher")[0]["validation_accuracy"]) < 0.8
    count = len(dataset.validation)
    beyond = score + 1.96 * math.sqrt(score * (1 - score) / count)
    rows = read_history(done, "student")
    ahead = [float(row["validation_accuracy"]) > beyond for row in rows]
    first = ahead.index(True) + 1  # the epochs behind it match nothing
    assert 1 <= first < len(rows)
    weights = [float(row["ntk_weight"]) for row in rows]
    assert all(weight > 0 for weight in weights[:first])
    assert weights[first:] == [0.0] * (len(rows) - first)
    assert [row["ntk"] == "" for row in rows] == [weight == 0 for weight in weights]


def test_a_teacher_that_is_ahead_is_matched_to_the_end(run):
    done, _ = run("data.train_images=200")
    assert all(float(row["ntk_weight"]) > 0 for row in read_history(done, "student"))
