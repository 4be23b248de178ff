"""What the stage ``compensated`` keeps for the report, by the real stages on the digits."""

import csv
import json

import numpy as np
import pytest
import torch

from hybridonn.compensation.acquisition.capture_dataset import (
    CaptureDataset,
    name_image,
    write_captures,
)
from hybridonn.compensation.calibration import Calibration
from hybridonn.compensation.capture_pair import CapturePair
from hybridonn.compensation.evaluation import Evaluation, look_inside
from hybridonn.core.errors import SpecError
from hybridonn.core.progress import Silent
from hybridonn.data.dataset import ImageSet
from hybridonn.networks.backends.dense import DenseBackend
from hybridonn.pipeline.compensate import compensate_captures, open_trained
from hybridonn.pipeline.run import run
from hybridonn.pipeline.stage import complete
from hybridonn.pipeline.stages.compensated import PLAIN_COMPENSATED
from hybridonn.pipeline.stages.fabricated import make_chip
from hybridonn.reports.artefacts.run import read_run
from hybridonn.reports.sections.all import list_figures
from hybridonn.spec import read_spec

QUICK = (
    "teacher.training.epochs=2",
    "training.epochs=4",
    "distillation.method=kd",
    "estimate.train_images=100",
    "estimate.draws=1",
    "student.kernels=4",
    "student.kernel_size=3",
    "fabrication.kernel_noise_fraction=0.6",
    "fabrication.shift_pixels=0.5",
    "compensation.methods=[none]",
    "compensation.distillation.method=kd",
    "compensation.training.epochs=2",
    "compensation.fraction=0.1",
    "compensation.fractions=[0.3, 0.1]",
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    home = tmp_path_factory.mktemp("chip")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYBRIDONN_CACHE", str(home / "cache"))
        results = run(read_spec(None, QUICK), home / "run")
    return home / "run", results["compensated"]


def read_table(path):
    head, *rows = (line.split(",") for line in path.read_text().splitlines())
    return [dict(zip(head, map(float, row), strict=True)) for row in rows]


def test_each_fraction_is_what_a_run_with_that_fraction_gives(finished, tmp_path):
    folder, found = finished
    few, many = read_table(folder / "compensated" / "fractions.csv")
    assert (few["fraction"], many["fraction"]) == (0.1, 0.3)
    assert few["captures"] == found["captures"]
    assert few["calibrated"] == found["calibrated_accuracy"]
    assert few["fine_tuned"] == found["kd_accuracy"]
    alone = read_spec(None, (*QUICK, "compensation.fraction=0.3", "compensation.fractions=[]"))
    trained = open_trained(alone, folder, None, Silent())
    parts = (trained.dataset, trained.done, tmp_path / "c", Silent())
    again = complete(PLAIN_COMPENSATED, alone, *parts)
    assert many["captures"] == again.results["captures"]
    assert many["calibrated"] == again.results["calibrated_accuracy"]
    assert many["fine_tuned"] == again.results["kd_accuracy"]
    assert not (tmp_path / "c" / "embedding.npz").exists()


def test_a_twin_changes_the_fine_tuning_alone(finished, tmp_path):
    folder, found = finished
    spec = read_spec(None, (*QUICK, "compensation.fractions=[]", "compensation.twin_fraction=0.5"))
    trained = open_trained(spec, folder, None, Silent())
    parts = (trained.dataset, trained.done, tmp_path / "c", Silent())
    twin = complete(PLAIN_COMPENSATED, spec, *parts).results
    images = len(trained.dataset.student_train)
    assert twin["captures"] == found["captures"]
    assert twin["twin_images"] == round(0.5 * (images - found["captures"]))
    assert found["twin_images"] == 0
    assert twin["calibrated_accuracy"] == found["calibrated_accuracy"]
    assert twin["kd_accuracy"] != found["kd_accuracy"]
    assert twin["parameters"] == found["parameters"]


def test_answers_before_and_after_and_every_image_s_score_are_kept(finished):
    folder, found = finished
    kept = folder / "compensated"
    scores = np.load(kept / "scores.npz")
    assert set(scores) == {"uncompensated", "calibrated", "none", "kd"}
    for method in scores:
        assert scores[method].mean() == pytest.approx(found[f"{method}_accuracy"])
    for name, method in (
        ("predictions_before", "uncompensated"),
        ("predictions", found["method"]),
    ):
        answers = np.load(kept / f"{name}.npz")
        right = answers["logits"].argmax(1) == answers["labels"]
        assert np.array_equal(right, scores[method])
    maps = np.load(kept / "embedding.npz")
    assert maps["before"].shape == maps["after"].shape == (len(maps["labels"]), 2)
    assert not np.allclose(maps["before"], maps["after"])
    assert not list(kept.glob("*checkpoint*"))


def test_what_is_best_on_captures_held_out_is_kept(finished):
    folder, found = finished
    scores = {
        name: found["held_out"][name] for name in ("uncompensated", "calibrated", "none", "kd")
    }
    best = found["method"]  # of equals the one with the smallest loss
    assert scores[best] == max(scores.values())
    assert found["accuracy"] == found[f"{best}_accuracy"]
    assert found["held_out"]["captures"] == round(0.2 * found["captures"])
    assert found["held_out"]["trained_on"] == found["captures"] - found["held_out"]["captures"]
    assert found["kept_because"].startswith(f"candidate {best} is kept: of 4 made of ")
    with (folder / "compensated" / "methods.csv").open() as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    assert {name: float(row["held_out_accuracy"]) for name, row in rows.items()} == scores
    assert [name for name, row in rows.items() if row["kept"] == "True"] == [best]


def test_the_report_of_the_run_shows_the_chip(finished):
    folder, _ = finished
    pictures = [one.name for one in list_figures(read_run(folder)) if one.name.startswith("chip")]
    ends = ("", "-fractions", "-confusion", "-embedding", "-kernels", "-psfs")
    assert pictures == [f"chip{end}" for end in ends]
    assert "The simulated chip loses" in (folder / "report.html").read_text()


@pytest.mark.parametrize("fractions", ["[0]", "[1.5]", "0.3"])
def test_fractions_are_shares(fractions):
    with pytest.raises(SpecError, match=r"compensation\.fractions"):
        read_spec(None, (f"compensation.fractions={fractions}",))


@pytest.mark.parametrize(("hidden", "width"), [((), 10), ((7,), 7)])
def test_of_a_single_layer_the_answers_are_laid_out(hidden, width):
    backend = DenseBackend(2, 3, hidden, 10).eval()
    calibration = Calibration(torch.ones(2, 2), torch.zeros(2), backend)
    shown = ImageSet(torch.zeros(5, 1, 8, 8, dtype=torch.uint8), torch.zeros(5))
    pair = CapturePair((torch.rand(5, 2, 2, 8, 8),), shown)
    seen = look_inside(Evaluation("kd", backend, calibration, torch.empty(0)), pair)
    assert seen.shape == (5, width)


def test_captures_of_a_camera_make_the_same_section(finished, tmp_path):
    folder, _ = finished
    spec = read_spec(None, QUICK)
    trained = open_trained(spec, folder, None, Silent())
    chip = make_chip(spec, trained.dataset, trained.student, None, spec.fabrication.with_seed(3))
    taken, names = [], []
    for part in ("student_train", "test"):
        images = getattr(trained.dataset, part).take(torch.arange(120))
        taken.append(chip.capture(images, part))
        names += [name_image(part, k) for k in range(120)]
    positive, negative = np.moveaxis(torch.cat([one.branches[0] for one in taken]).numpy(), 2, 0)
    ones, psfs = np.ones((4, 2), np.float32), chip.frontend.psfs.numpy()
    exposure = np.ones(240, np.float32)
    write_captures(
        CaptureDataset(np.array(names), positive, negative, exposure, ones, ones, psfs),
        tmp_path / "s",
    )
    found = compensate_captures(spec, folder, tmp_path / "s", None, Silent())
    assert found["source"] == "captures"
    shown = read_run(folder).chip
    assert shown.measured
    assert shown.total == 120
    assert found["captures"] == 120
    np.testing.assert_allclose(shown.optics.built, psfs, atol=1e-6)
    assert list(shown.fractions["captures"]) == [12, 36, 120]
    student = np.load(folder / "student" / "predictions.npz")
    right = (student["logits"].argmax(1) == student["labels"])[:120]
    assert found["same_images"] == {
        "test_captures": 120,
        "ideal_accuracy": pytest.approx(right.mean()),
    }
    assert "The measured chip loses" in (folder / "report.html").read_text()
    twin = (*QUICK, "compensation.fractions=[]", "compensation.twin_fraction=0.5")
    found = compensate_captures(read_spec(None, twin), folder, tmp_path / "s", None, Silent())
    others = len(trained.dataset.student_train) - found["captures"]
    assert (found["captures"], found["twin_images"]) == (120, round(0.5 * others))
    few = compensate_captures(spec, folder, tmp_path / "s", None, Silent(), 0.1)
    assert (few["captures"], few["held_out"]["captures"]) == (12, 2)
    found = compensate_captures(read_spec(None, twin), folder, tmp_path / "s", None, Silent())
    assert f"{found['twin_images']:,} more images" in (folder / "report.html").read_text()
    # A run of the same spec makes the simulated chip's stage again.
    record = json.loads((folder / "record.json").read_text())
    assert (
        record["hashes"]["compensated"]
        != json.loads((folder / "compensated" / "stage.json").read_text())["fingerprint"]
    )
