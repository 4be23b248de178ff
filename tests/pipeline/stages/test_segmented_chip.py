"""Chips of several branches that segment: fabricated, calibrated and fine-tuned, by the stages."""

import numpy as np
import pytest
import torch
from tests.pipeline.discs import draw_discs

from hybridonn.compensation.acquisition.capture_dataset import (
    CaptureDataset,
    name_image,
    write_captures,
)
from hybridonn.core.files import read_arrays, read_json, read_tensors
from hybridonn.core.progress import Silent
from hybridonn.data import load_dataset
from hybridonn.data.batches import to_scene
from hybridonn.pipeline.chip_overlays import read_student_scores
from hybridonn.pipeline.compensate import Trained
from hybridonn.pipeline.run import run
from hybridonn.pipeline.stage import complete
from hybridonn.pipeline.stage_table import make_stages
from hybridonn.pipeline.stages.alignment import ALIGNMENT
from hybridonn.pipeline.stages.compensated import COMPENSATED
from hybridonn.pipeline.stages.compensated_on_captures import COMPENSATED_ON_CAPTURES
from hybridonn.pipeline.stages.fabricated import FABRICATED, make_chip
from hybridonn.pipeline.stages.student import PLAIN_STUDENT, STUDENT
from hybridonn.pipeline.stages.teacher import TEACHER
from hybridonn.pipeline.stages.teacher_targets import TEACHER_TARGETS
from hybridonn.reports.artefacts.predictions import read_predictions
from hybridonn.reports.artefacts.run import read_run
from hybridonn.spec import read_spec
from hybridonn.studies import tolerance

METHODS = ("uncompensated", "calibrated", "none", "kd", "ntkd")
TRAINED = (TEACHER, ALIGNMENT, TEACHER_TARGETS, STUDENT)
STAGES = (*TRAINED, FABRICATED, COMPENSATED)
KERNELS = 5
QUICK = (
    "task=segmentation",
    "data.name=mask_folder",
    "data.size_pixels=16",
    "teacher.name=u-net",
    "teacher.arguments={width: 4, depth: 2}",
    "teacher.training={epochs: 6, batch_size: 8, learning_rate: 0.01}",
    "student={branches: [{kernels: 2, kernel_size: 3}, {kernels: 3, kernel_size: 3, binning: 4}],"
    " kernel_size: 3, backend: pyramid, hidden: [4, 4], normalisation: batch}",
    "training={epochs: 20, batch_size: 8, learning_rate: 0.02}",
    "distillation.method=kd",
    "fabrication.preset=poor-mnist",
    "compensation.fraction=0.5",
    "compensation.training={batch_size: 5, epochs: 2}",
    "compensation.twin_fraction=1",
)


def spec_of(folder, *more):
    return read_spec(None, (f"data.folder={folder}", *QUICK, *more))


def results_of(stage):
    """The numbers of a stage without what a clock says."""
    return {key: value for key, value in stage.results.items() if key not in CLOCKED}


CLOCKED = ("seconds", "held_out")


@pytest.fixture(scope="module", params=["pyramid", "coarse_fine"])
def made(request, tmp_path_factory):
    """The stages of a small system of two branches, their folder, spec and data set."""
    home = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYBRIDONN_CACHE", str(home / "cache"))
        spec = spec_of(draw_discs(home / "discs"), f"student.backend={request.param}")
        dataset = load_dataset(spec.data)
        yield home, spec, dataset, make_stages(spec, dataset, home / "run", Silent(), STAGES)


def test_each_treatment_of_the_chip_is_measured_in_miou(made):
    *_, done = made
    built, found = done["fabricated"].results, done["compensated"].results
    assert built["miou"] < built["ideal_miou"] == done["student"].results["miou"]
    assert built["drop"] == pytest.approx(built["ideal_miou"] - built["miou"])
    assert built["kernel_error"] > 0.3
    assert found["uncompensated_miou"] == pytest.approx(built["miou"])
    assert {f"{method}_miou" for method in METHODS} <= set(found)
    assert found["calibrated_miou"] > found["uncompensated_miou"]
    assert (found["captures"], found["twin_images"]) == (14, 14)
    assert not [key for key in (*built, *found) if "accuracy" in key]


def test_masks_as_built_and_compensated_are_stored_as_those_of_the_student(made):
    *_, done = made
    student = read_arrays(done["student"].folder / "predictions.npz")
    files = [done["fabricated"].folder / "predictions.npz"]
    files += [
        done["compensated"].folder / f"predictions{end}.npz"
        for end in ("_before", "_calibrated", "")
    ]
    for file in files:
        one = read_arrays(file)
        assert one["predicted"].shape == student["predicted"].shape
        assert one["predicted"].dtype == np.uint8
        assert np.array_equal(one["labels"], student["labels"])
    assert not (done["compensated"].folder / "embedding.npz").exists()


def test_the_images_that_lose_most_and_as_much_as_most_are_kept_for_the_report(made):
    _, _, dataset, done = made
    ideal = read_student_scores(done["student"], dataset).numpy()
    for name, file in (("fabricated", "predictions"), ("compensated", "predictions_before")):
        found = read_arrays(done[name].folder / "overlays.npz")
        built = read_predictions(done[name].folder / f"{file}.npz", name, 2, dataset.task)
        loss = np.sort(ideal - built.scores)
        own = dict(zip(found["reasons"], (ideal - built.scores)[found["positions"]], strict=True))
        assert own.pop(next(one for one in own if one.startswith("largest loss"))) == loss[-1]
        assert own["median loss"] == loss[len(loss) // 2]
        assert np.array_equal(found["numbers"], found["positions"])
        scenes = dataset.test.images[torch.from_numpy(found["positions"])]
        assert np.array_equal(found["scenes"], scenes)
    assert "compensated" in " ".join(found["reasons"])


def test_the_chip_holds_all_kernels_of_all_branches(made):
    *_, done = made
    folder = done["fabricated"].folder
    chip = read_arrays(folder / "psf.npz")
    assert chip["psf"].shape[:3] == (KERNELS, 2, 3)
    kernels = read_arrays(folder / "kernels.npz")
    # On the sensor, in pixels of the scene: three weights that lie four pixels apart.
    assert kernels["designed"].shape == (KERNELS, 3, 9, 9)
    assert kernels["built"].shape[-1] > 9
    gains = read_arrays(done["compensated"].folder / "gains.npz")
    assert (gains["gains"].shape, gains["offsets"].shape) == ((KERNELS, 2), (KERNELS,))


def test_the_same_spec_gives_the_same_chip_and_the_same_compensation(made, tmp_path):
    _, spec, dataset, done = made
    again = {
        stage.name: complete(stage, spec, dataset, done, tmp_path / stage.name, Silent())
        for stage in (FABRICATED, COMPENSATED)
    }
    for name, stage in again.items():
        assert results_of(stage) == results_of(done[name])
    pair = (done["compensated"].folder, tmp_path / "compensated")
    first, second = (folder / "backend.safetensors" for folder in pair)
    assert first.read_bytes() == second.read_bytes()


def test_many_chips_are_made_and_each_error_alone_is_measured_in_miou(made, tmp_path, monkeypatch):
    home, spec, dataset, done = made
    monkeypatch.setattr(tolerance, "open_trained", lambda *_: Trained(dataset, done))
    quick = spec.compensation.model_copy(update={"methods": (), "twin_fraction": 0.0})
    spec = spec.model_copy(update={"compensation": quick})
    found = tolerance.tolerate(spec, home / "run", 2, 0.3, tmp_path / "many", None, Silent())
    assert found["metric"] == "miou"
    assert found["ideal"] == done["student"].results["miou"]
    assert [row["chip"] for row in found["chips"]] == [0, 1]
    assert found["chips"][0]["uncompensated"] == pytest.approx(done["fabricated"].results["miou"])
    assert {"uncompensated", "calibrated", "ntkd"} <= set(found["summary"])
    worst = max(found["alone"], key=lambda row: found["alone_ideal"] - row["mean"])
    assert worst["mean"] < found["alone_ideal"]


def test_captures_of_a_camera_are_compensated_as_those_of_the_simulation(made, tmp_path):
    _, spec, dataset, done = made
    chip = make_chip(spec, dataset, done["student"], None, spec.fabrication)
    taken, names = [], []
    for part in ("student_train", "test"):
        images = getattr(dataset, part)
        # What a camera gives are captures of all kernels in its own pixels.
        (seen,) = chip.frontend.frontend.capture(to_scene(images.images))
        taken.append(seen.numpy())
        names += [name_image(part, number) for number in range(len(images))]
    positive, negative = np.moveaxis(np.concatenate(taken), 2, 0)
    ones = np.ones((KERNELS, 2), np.float32)
    exposure = np.ones(len(names), np.float32)
    captures = CaptureDataset(np.array(names), positive, negative, exposure, ones, ones)
    write_captures(captures, tmp_path / "captures")
    settings = spec.compensation.model_copy(update={"fraction": 1.0, "methods": ("none",)})
    own = spec.model_copy(update={"compensation": settings})
    stage = COMPENSATED_ON_CAPTURES.with_options(captures=tmp_path / "captures")
    found = complete(stage, own, dataset, done, tmp_path / "compensated", Silent()).results
    assert found["source"] == "captures"
    assert (tmp_path / "compensated" / "overlays.npz").is_file()
    assert found["calibrated_miou"] > found["uncompensated_miou"]
    assert found["same_images"]["ideal_miou"] == pytest.approx(done["student"].results["miou"])
    # The camera of the simulated chip adds its noise; this one had none.
    built = done["fabricated"].results["miou"]
    assert found["uncompensated_miou"] == pytest.approx(built, abs=0.05)


def test_robust_training_sees_a_chip_of_all_branches_at_each_step(made, tmp_path):
    _, spec, dataset, done = made
    found = []
    for robust in (False, True):
        objective = spec.distillation.model_copy(update={"robust": robust, "method": "none"})
        training = spec.training.model_copy(update={"epochs": 2})
        own = spec.model_copy(update={"distillation": objective, "training": training})
        student = complete(PLAIN_STUDENT, own, dataset, done, tmp_path / str(robust), Silent())
        found.append(read_tensors(student.folder / "weights.safetensors")[0])
    plain, robust = (one["frontend.branches.1.convolution.weight"] for one in found)
    assert plain.shape == robust.shape == (3, 3, 3, 3)
    assert not torch.allclose(plain, robust)


@pytest.mark.slow
def test_a_whole_run_reports_the_chip(tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache"))
    spec = spec_of(draw_discs(tmp_path / "discs"))
    results = run(spec, tmp_path / "run")
    chip = read_run(tmp_path / "run").chip
    assert chip is not None
    assert chip.overlays is not None
    kept = results["compensated"]["method"]
    assert list(chip.overlays.predictions) == list(
        dict.fromkeys(["ideal", "uncompensated", "calibrated", kept])
    )
    assert results["compensated"]["miou"] == pytest.approx(
        read_json(tmp_path / "run" / "results.json")["compensated"]["miou"]
    )
    text = (tmp_path / "run" / "report.html").read_text()
    assert "mIoU" in text
    assert 'id="chip-overlays"' in text
