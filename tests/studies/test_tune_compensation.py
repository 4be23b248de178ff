"""Compensation is tuned behind chips of its own, on images that are neither learnt nor reported."""

import csv
from dataclasses import replace

import pytest
import yaml
from typer.testing import CliRunner

from hybridonn.cli.app import app
from hybridonn.core.errors import ArtefactError, OpticsError, SpecError
from hybridonn.core.progress import Silent
from hybridonn.pipeline.compensate import open_trained
from hybridonn.pipeline.run import run
from hybridonn.pipeline.stage import complete
from hybridonn.pipeline.stages.compensated import PLAIN_COMPENSATED
from hybridonn.spec import Fabrication, Spec, default_tree, read_spec
from hybridonn.studies import tune_compensation as study
from hybridonn.studies.tune_compensation import choose_chips, tune_compensation

QUICK = (
    "teacher.training.epochs=2",
    "training.epochs=4",
    "distillation.method=kd",
    "estimate.train_images=100",
    "estimate.draws=1",
    "student.kernels=4",
    "student.kernel_size=3",
)
CHIP = (
    "fabrication.kernel_noise_fraction=0.8",
    "fabrication.shift_pixels=0.5",
    "compensation.training.epochs=2",
    "compensation.calibration=gains",
    "compensation.tuned.ntkd.temperature=2.0",
)
SPEC = read_spec(None, (*QUICK, *CHIP))
GRID = {"learning_rate": [1e-6, 0.01], "ntk_weight": [1, 30]}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    home = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYBRIDONN_CACHE", str(home / "cache"))
        run(read_spec(None, QUICK), home / "run")
    return home / "run"


@pytest.fixture(scope="module")
def tuned(finished, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuned")
    text = tune(finished, folder)
    return folder, text, read_rows(folder)


def tune(run, folder, spec=SPEC, methods=("none", "ntkd"), grid=None, chips=2):
    return tune_compensation(spec, run, methods, grid or GRID, chips, folder, None, Silent())


def read_rows(folder):
    with (folder / "tuning.csv").open() as file:
        return list(csv.DictReader(file))


def without_seconds(rows):
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def count_calls(monkeypatch, name, stop_at=None):
    calls, real = [], getattr(study, name)

    def counted(*arguments):
        calls.append(arguments)
        if len(calls) == stop_at:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(study, name, counted)
    return calls


def test_the_best_is_the_best_of_the_table(tuned):
    folder, text, rows = tuned
    assert [row["method"] for row in rows] == 2 * ["none"] + 4 * ["ntkd"]
    best = yaml.safe_load(text)["compensation"]["tuned"]
    assert list(best) == ["none", "ntkd"]
    for row in rows:
        chips = [float(row["chip_1000"]), float(row["chip_1001"])]
        assert float(row["validation"]) == pytest.approx(sum(chips) / 2, abs=1e-6)
        assert float(row["seconds"]) > 0
    for method in best:
        own = [row for row in rows if row["method"] == method]
        top = max(own, key=lambda row: float(row["validation"]))
        assert best[method]["learning_rate"] == float(top["learning_rate"]) == 0.01
        assert best[method].get("ntk_weight", "") == (
            top["ntk_weight"] and float(top["ntk_weight"])
        )
    assert text == (folder / "tuned.yaml").read_text()


def test_what_is_printed_can_be_pasted_into_a_spec(tuned):
    best = yaml.safe_load(tuned[1])["compensation"]["tuned"]
    assert best["ntkd"]["temperature"] == 2.0  # tuned before: it took part, so it is kept
    spec = Spec.model_validate(default_tree() | yaml.safe_load(tuned[1]))
    assert spec.compensation
    assert spec.compensation.tuned.ntkd.learning_rate == 0.01
    assert spec.compensation.tuned.none.model_dump(exclude_none=True) == best["none"]


def test_a_score_is_what_the_stage_finds_on_the_validation_images(finished, tuned, tmp_path):
    trained = open_trained(SPEC, finished, None, Silent())
    own = read_spec(
        None, (*QUICK, *CHIP, "fabrication.seed=1001", "compensation.tuned.none.learning_rate=0.01")
    )
    judged_so = trained.dataset.with_part("test", trained.dataset.validation)
    parts = (judged_so, trained.done, tmp_path / "c", Silent())
    found = complete(PLAIN_COMPENSATED, own, *parts).results
    row = next(
        row for row in tuned[2] if row["method"] == "none" and row["learning_rate"] == "0.01"
    )
    assert float(row["chip_1001"]) == pytest.approx(found["none_accuracy"])


def test_test_images_are_never_looked_at(finished, tuned, tmp_path, monkeypatch):
    def open_without_test(*arguments):
        trained = open_trained(*arguments)
        return replace(trained, dataset=replace(trained.dataset, test=None))

    monkeypatch.setattr(study, "open_trained", open_without_test)
    tune(finished, tmp_path)
    assert without_seconds(read_rows(tmp_path)) == without_seconds(tuned[2])


def test_what_learns_and_what_judges_are_apart(finished, tmp_path, monkeypatch):
    chips = count_calls(monkeypatch, "_score")
    spec = read_spec(None, (*QUICK, *CHIP, "compensation.fraction=1.0"))
    monkeypatch.setattr(study, "MOST_JUDGED", 50)
    tune(finished, tmp_path, spec, ("none",), {"epochs": [1]}, 1)
    [(recovery, judged, *_)] = chips
    trained_on = {image.numpy().tobytes() for image in recovery.data.shown.images}
    assert not trained_on & {image.numpy().tobytes() for image in judged.shown.images}
    assert len(judged) == 50
    assert len(judged.shown.labels.unique()) == 10


def test_it_goes_on_where_it_was(finished, tuned, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        count_calls(patch, "_score", stop_at=4)
        with pytest.raises(KeyboardInterrupt):
            tune(finished, tmp_path)
    assert without_seconds(read_rows(tmp_path)) == [
        {key: row[key] for key in ("method", "learning_rate")}
        | {"validation": str(round(float(row["chip_1000"]), 6)), "chip_1000": row["chip_1000"]}
        | {key: row[key] for key in ("temperature", "ntk_weight")}
        for row in tuned[2][:3]
    ]
    scores = count_calls(monkeypatch, "_score")
    chips = count_calls(monkeypatch, "make_chip")
    calibrations = count_calls(monkeypatch, "recalibrate")
    answers = count_calls(monkeypatch, "compute_targets")
    assert tune(finished, tmp_path) == tuned[1]
    assert without_seconds(read_rows(tmp_path)) == without_seconds(tuned[2])
    assert len(scores) == 2 * 6 - 3
    assert (len(chips), len(calibrations), len(answers)) == (2, 2, 1)
    tune(finished, tmp_path, methods=("ntkd",), chips=1)  # less of the same: nothing to do
    assert without_seconds(read_rows(tmp_path)) == without_seconds(tuned[2])
    assert len(chips) == 2


def test_other_tuned_values_are_other_rows_and_another_spec_is_refused(
    finished, tmp_path, monkeypatch
):
    small = {"methods": ("kd",), "grid": {"epochs": [1]}, "chips": 1}
    tune(finished, tmp_path, **small)
    scores = count_calls(monkeypatch, "_score")
    warmer = read_spec(None, (*QUICK, *CHIP, "compensation.tuned.kd.temperature=8.0"))
    for changed in (SPEC, warmer):
        tune(finished, tmp_path, changed, **small)
    assert len(scores) == 1
    assert [row["temperature"] for row in read_rows(tmp_path)] == ["", "8.0"]
    table = (tmp_path / "tuning.csv").read_bytes()
    other = read_spec(None, (*QUICK, *CHIP, "compensation.fraction=0.2"))
    with pytest.raises(ArtefactError, match=r"compensation\.fraction is 0\.1 there and 0\.2 here"):
        tune(finished, tmp_path, other, **small)
    assert (tmp_path / "tuning.csv").read_bytes() == table
    assert len(scores) == 1


def test_chips_are_not_those_that_are_reported(finished, tmp_path, monkeypatch):
    assert choose_chips(Fabrication(), 3) == [1000, 1001, 1002]
    assert choose_chips(Fabrication(seed=1001), 3) == [1000, 1002, 1003]
    chips = count_calls(monkeypatch, "make_chip")
    spec = read_spec(None, (*QUICK, *CHIP, "fabrication.seed=1000"))
    tune(finished, tmp_path, spec, ("none",), {"epochs": [1]}, 2)
    assert [arguments[4].seed for arguments in chips] == [1001, 1002]


def test_without_labels_the_teacher_is_learnt_from(finished, tmp_path):
    spec = read_spec(None, (*QUICK, *CHIP, "compensation.labelled=false"))
    text = tune(finished, tmp_path, spec, ("kd",), {"learning_rate": [0.003]}, 1)
    assert yaml.safe_load(text)["compensation"]["tuned"] == {"kd": {"learning_rate": 0.003}}
    with pytest.raises(SpecError, match=r"--methods none,kd: .* leave none out"):
        tune(finished, tmp_path, spec, ("none", "kd"), {"epochs": [1]}, 1)


def test_what_cannot_be_tuned_is_refused_before_any_chip(finished, tmp_path, monkeypatch):
    chips = count_calls(monkeypatch, "make_chip")
    with pytest.raises(SpecError, match=r"compensation\.tuned\.kd\.learning_rate is -1: "):
        tune(finished, tmp_path, SPEC, ("kd",), {"learning_rate": [0.01, -1]}, 1)
    with pytest.raises(SpecError, match="--grid ntk_weight: no method of kd has a use"):
        tune(finished, tmp_path, SPEC, ("kd",), {"ntk_weight": [1]}, 1)
    few = read_spec(None, (*QUICK, *CHIP, "compensation.fraction=0.001"))
    with pytest.raises(SpecError, match="fraction"):
        tune(finished, tmp_path / "few", few, ("kd",), {"epochs": [1]}, 1)
    with pytest.raises(SpecError, match="--chips 0: allowed is 1 to 10,000"):
        tune(finished, tmp_path, chips=0)
    with pytest.raises(OpticsError, match="fabrication is not set"):
        tune(finished, tmp_path, read_spec(None, QUICK))
    with pytest.raises(ArtefactError, match="no run folder"):
        tune(tmp_path / "none", tmp_path / "out")
    assert not chips


def test_the_command(finished, tmp_path):
    words = ["tune-compensation", str(finished), "--out", str(tmp_path / "t"), "--methods", "kd"]
    words += ["--preset", "paper-mnist", "--set", "compensation.training.epochs=1", "--chips", "1"]
    result = CliRunner().invoke(app, [*words, "--grid", "kd_weight=0.5,2"])
    assert result.exit_code == 0, result.exception
    assert result.output.rstrip().endswith(str(tmp_path / "t" / "tuning.csv"))
    assert "compensation:\n  tuned:\n    kd:\n      kd_weight: " in result.output
    assert "# kd: kd_weight " in result.output  # of two values the best is at an edge
    refused = CliRunner().invoke(app, [*words, "--grid", "epoch=1,2"])
    assert isinstance(refused.exception, SpecError)
    assert "did you mean epochs" in str(refused.exception)
    assert "\n" not in str(refused.exception)
