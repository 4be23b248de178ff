import json

import numpy as np
import pytest

from hybridonn.core.errors import ArtefactError
from hybridonn.reports.artefacts.run import read_run
from hybridonn.reports.formats import duration, flatten, look_up, moment, number, percent
from hybridonn.reports.verdict import describe_run


def verdict(folder):
    return " ".join(describe_run(read_run(folder)))


def test_the_verdict_states_the_numbers(run_folder):
    text = verdict(run_folder)
    for part in (
        "360 test images of digits",
        "97.2 % accuracy",
        "95.0 to 98.5 %",  # Wilson, 350 of 360
        "neural tangent knowledge distillation (NTKD)",
        "8 optical kernels of 7 × 7 and 47,140 digital parameters",
        "lenet, reaches 98.9 %",
        "keeps 98.3 % of the teacher's accuracy",
        "1.7 points below it (student less teacher on the same images, 95 %: −3.2 to −0.1 points)",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("teacher_wrong", "said"),
    [(30, "5.6 points worse than the student"), (10, "exactly as good as the student")],
)
def test_a_teacher_that_is_not_better_is_called_so(make, tmp_path, teacher_wrong, said):
    text = verdict(make(tmp_path / "run", wrong={"teacher": teacher_wrong, "student": 10}))
    assert said in text
    assert "promises little" in text
    assert "keeps" not in text


def test_networks_that_the_test_images_do_not_tell_apart_are_pointed_out(make, tmp_path):
    near = make(tmp_path / "near", wrong={"teacher": 8, "student": 10})
    assert "360 test images do not tell the two apart" in verdict(near)
    far = make(tmp_path / "far", wrong={"teacher": 4, "student": 90})
    assert "tell the two apart" not in verdict(far)


def test_a_teacher_tested_on_other_images_is_refused(run_folder):
    path = run_folder / "teacher" / "predictions.npz"
    arrays = dict(np.load(path))
    shuffled = np.random.default_rng(0).permutation(len(arrays["labels"]))
    np.savez(path, **{name: values[shuffled] for name, values in arrays.items()})
    with pytest.raises(ArtefactError, match="not those of the student"):
        read_run(run_folder)


@pytest.fixture
def add_baseline():
    """Puts a student without a teacher into a run, with so many wrong answers of 360."""

    def add(folder, wrong):
        path, results = folder / "results.json", json.loads((folder / "results.json").read_text())
        arrays = dict(np.load(folder / "student" / "predictions.npz"))
        right = np.eye(10)[arrays["labels"]]
        arrays["logits"][:] = right
        arrays["logits"][:wrong] = np.roll(right[:wrong], 1, 1)
        (folder / "baseline").mkdir()
        np.savez(folder / "baseline" / "predictions.npz", **arrays)
        results["baseline"] = {"accuracy": 1 - wrong / 360, "teacher_margin": (wrong - 4) / 360}
        path.write_text(json.dumps(results))
        return verdict(folder)

    return add


def test_a_student_without_a_teacher_is_compared_on_the_same_images(make, tmp_path, add_baseline):
    text = add_baseline(make(tmp_path / "run", wrong={"teacher": 4, "student": 10}), 30)
    assert "reaches 5.6 points more (95 %: " in text
    assert "hybridonn tune" not in text


def test_a_student_behind_the_one_without_a_teacher_is_told_what_helps(
    make, tmp_path, add_baseline
):
    text = add_baseline(make(tmp_path / "run", wrong={"teacher": 4, "student": 60}), 20)
    assert "reaches 11.1 points less" in text
    assert "lower distillation.temperature" in text


def test_branches_of_several_sizes_are_listed(run_folder):
    branches = "[{kernels: 2, kernel_size: 3}, {kernels: 6, kernel_size: 7, binning: 2}]"
    own = f"student: {{backend: 'mine:make', branches: {branches}}}\n"
    (run_folder / "spec.yaml").write_text(own)
    assert "8 optical kernels (2 of 3 × 3, 6 of 7 × 7)" in verdict(run_folder)


def test_optional_numbers_may_be_missing(run_folder):
    path = run_folder / "results.json"
    results = json.loads(path.read_text())
    del results["student"]["parameters"], results["teacher"]
    results["student"]["method"] = "none"
    path.write_text(json.dumps(results))
    text = verdict(run_folder)
    assert "on the task alone, without distillation, with 8 optical kernels of 7 × 7." in text
    assert "no teacher" in text


def test_numbers_are_written_for_people():
    assert percent(0.97333, 360) == "97.3 %"
    assert percent(0.97333, 10000) == "97.33 %"
    assert number(1620000) == "1,620,000"
    assert number(0.123456789) == "0.123457"
    assert number([1, True, None, "a"]) == "1, yes, none, a"
    assert [duration(s) for s in (0.01, 35.91, 600, 9000)] == [
        "0.01 s",
        "35.9 s",
        "10 min",
        "2 h 30 min",
    ]
    assert moment("2026-11-21T10:01:00+00:00") == "2026-11-21 10:01 UTC"
    assert moment("yesterday") == "yesterday"


def test_trees_are_flattened_and_looked_up():
    tree = {"a": {"b": {"c": 1}, "d": [2]}, "e": None}
    assert list(flatten(tree)) == [("a.b.c", 1), ("a.d", [2]), ("e", None)]
    assert look_up(tree, "a.b.c") == 1
    assert look_up(tree, "a.d.c") is None
