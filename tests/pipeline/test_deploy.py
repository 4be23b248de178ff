"""A finished run as files that run without torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import hybridonn
from hybridonn.cli.app import app
from hybridonn.compensation.acquisition.capture_dataset import (
    CaptureDataset,
    name_image,
    read_captures,
    write_captures,
)
from hybridonn.core.errors import ArtefactError, DataError, DeploymentError
from hybridonn.core.progress import Silent
from hybridonn.data import load_dataset
from hybridonn.data.batches import to_scene
from hybridonn.deployment.compilers import find_host_compiler
from hybridonn.deployment.manifest import read_manifest
from hybridonn.deployment.runner import subtract
from hybridonn.pipeline.compensate import compensate_captures, open_trained
from hybridonn.pipeline.deploy import deploy, explain_losses
from hybridonn.pipeline.deployment_state import list_sources
from hybridonn.pipeline.predict import open_system
from hybridonn.pipeline.run import run
from hybridonn.pipeline.stages.fabricated import make_chip
from hybridonn.reports.artefacts.run import read_run
from hybridonn.reports.sections.all import list_figures
from hybridonn.spec import read_spec

TINY = (
    "student.kernels=4",
    "student.hidden=[16]",
    "data.train_images=200",
    "training.epochs=2",
    "teacher.training.epochs=1",
    "distillation.method=none",
)


def test_its_numbers_say_what_was_deployed_and_how_close_it_is(deployed_digits: Path) -> None:
    results = json.loads((deployed_digits / "results.json").read_text())
    found = results["deployed"]

    assert (found["optics"], found["backend"]) == ("fabricated", "compensated")
    assert found["accuracy"] == pytest.approx(results["compensated"]["accuracy"], abs=0.02)
    for name in ("onnx", "hybrid"):
        assert found[name]["largest_relative_difference"] < 1e-5
        assert found[name]["same_predictions"] == 1
    assert abs(found["int8"]["accuracy"] - found["accuracy"]) < 0.02
    assert found["macs"]["backend"] < found["macs"]["digital"] < found["macs"]["teacher"]
    assert set(found["latency_us"]) >= {"torch", "onnxruntime", "int8"}


def test_the_manifest_says_what_the_files_take_and_were_made_of(deployed_digits: Path) -> None:
    manifest = read_manifest(deployed_digits / "deployed")

    assert manifest.classes == tuple("0123456789")
    assert manifest.image_shape == (1, 8, 8)
    assert manifest.branches[0].shape == (4, 8, 8)
    assert len(manifest.gains) == 4
    assert set(manifest.stages) == {"student", "fabricated", "compensated"}
    assert {"backend.onnx", "backend.int8.onnx", "hybrid.onnx", "run.py"} <= set(manifest.files)


def test_it_is_kept_when_it_is_asked_for_again(deployed_digits: Path) -> None:
    path = deployed_digits / "deployed" / "backend.onnx"
    before = path.stat().st_mtime_ns
    targets = tuple(
        target
        for target, package in (("c", "emx_onnx_cgen"), ("tflite-micro", "tflite_micro"))
        if find_spec(package)
    )
    deploy(deployed_digits, targets, 100, None, Silent())
    assert path.stat().st_mtime_ns == before


def test_the_runner_needs_no_torch(deployed_digits: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", np.zeros((8, 8), np.uint8))
    folder = deployed_digits / "deployed"
    code = (
        "import runpy, sys; sys.modules['torch'] = None; sys.modules['hybridonn'] = None;"
        f"sys.argv = ['run.py', '--scene', {str(tmp_path / 'image.npy')!r}];"
        f"runpy.run_path({str(folder / 'run.py')!r}, run_name='__main__')"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    name, confidence = found.stdout.split()
    assert name in "0123456789"
    assert 0.1 <= float(confidence) <= 1


def test_the_runner_subtracts_captures_with_the_gains() -> None:
    manifest = {
        "branches": [{"name": "branch_0", "shape": [1, 1, 2], "binning": 1}],
        "gains": [[2.0, 0.5]],
    }
    captures = {"branch_0": np.array([[[[1.0, 2.0]], [[4.0, 8.0]]]])}
    assert subtract(captures, manifest)["branch_0"].tolist() == [[[[0, 0]]]]
    with pytest.raises(ValueError, match=r"branch_0 has the shape \(1, 2, 2\)"):
        subtract({"branch_0": np.zeros((1, 2, 2))}, manifest)


def test_the_c_file_was_run_beside_torch(deployed_digits: Path) -> None:
    pytest.importorskip("emx_onnx_cgen")
    results = json.loads((deployed_digits / "results.json").read_text())["deployed"]
    assert "c/backend.c" in read_manifest(deployed_digits / "deployed").files
    if find_host_compiler() is not None:
        assert results["c"]["host_largest_relative_difference"] < 1e-5
        assert results["latency_us"]["c"] > 0


def test_the_file_for_microcontrollers_was_run_beside_torch(deployed_digits: Path) -> None:
    pytest.importorskip("tflite_micro", reason="needs the extra tflite-micro")
    results = json.loads((deployed_digits / "results.json").read_text())["deployed"]
    found = results["tflite_micro"]
    assert "tflite/backend.tflite" in read_manifest(deployed_digits / "deployed").files
    assert found["same_predictions"] > 0.97
    assert abs(found["accuracy"] - found["torch_accuracy"]) < 0.02
    assert found["ethos"]["cycles"] > 0


def test_a_target_that_is_not_known(finished_digits: Path) -> None:
    with pytest.raises(
        DeploymentError, match="target 'rust' is not known; allowed are onnx, c, tflite-micro"
    ):
        deploy(finished_digits, ("rust",), 10, None, Silent())


def test_without_the_extra_one_sentence_says_what_to_install(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DeploymentError, match=r"pip install 'hybridonn\[deploy\]'"):
        deploy(tmp_path, (), 10, None, Silent())


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    with pytest.raises(ArtefactError, match="no run folder"):
        deploy(tmp_path, (), 10, None, Silent())


@pytest.fixture(scope="module")
def real_chip(finished_digits: Path, tmp_path_factory) -> tuple[Path, Path]:
    """The run compensated on captures of a real chip, which a simulated one stands for."""
    place = tmp_path_factory.mktemp("real")
    run_folder = shutil.copytree(
        finished_digits, place / "digits", ignore=shutil.ignore_patterns("depl*")
    )
    spec = read_spec(run_folder / "spec.yaml")
    trained = open_trained(spec, run_folder, None, Silent())
    chip = make_chip(spec, trained.dataset, trained.student, None, spec.fabrication)
    taken, names = [], []
    for part in ("student_train", "test"):
        images = getattr(trained.dataset, part).take(torch.arange(60))
        taken.append(chip.capture(images, part))
        names += [name_image(part, k) for k in range(60)]
    positive, negative = torch.cat([one.branches[0] for one in taken]).numpy().swapaxes(0, 2)
    ones, exposure = np.ones((4, 2), np.float32), np.ones(120, np.float32)
    signs = (np.ascontiguousarray(one.swapaxes(0, 1)) for one in (positive, negative))
    captures = CaptureDataset(np.array(names), *signs, exposure, ones, ones)
    write_captures(captures, place / "set")
    compensate_captures(spec, run_folder, place / "set", None, Silent())
    return run_folder, place / "set"


def test_a_real_chips_backend_is_tried_on_its_captures(real_chip, no_report) -> None:
    run_folder, captures = real_chip
    found = deploy(run_folder, (), 30, None, Silent(), captures)
    stage = json.loads((run_folder / "compensated" / "stage.json").read_text())

    assert (found["optics"], found["backend"]) == ("captures", "compensated")
    assert (found["calibration_images"], found["test_images"]) == (30, 60)
    assert found["onnx"]["largest_relative_difference"] < 1e-5
    assert found["accuracy"] == pytest.approx(stage["results"]["accuracy"])
    assert "hybrid" not in found
    assert not (run_folder / "deployed" / "hybrid.onnx").exists()


def test_captures_of_another_day_are_refused(real_chip, tmp_path) -> None:
    other = replace(read_captures(real_chip[1]), exposure_s=np.full(120, 2.0, np.float32))
    write_captures(other, tmp_path / "other")
    with pytest.raises(DeploymentError, match="not the capture set on which the backend of"):
        deploy(real_chip[0], (), 30, None, Silent(), tmp_path / "other")
    with pytest.raises(ArtefactError, match=r"holds no captures .* make a capture set with"):
        deploy(real_chip[0], (), 30, None, Silent(), tmp_path)


def test_a_real_chip_of_which_nothing_is_known_is_refused(real_chip) -> None:
    with pytest.raises(DeploymentError, match=r"were not measured.*name the capture set"):
        deploy(real_chip[0], (), 30, None, Silent())


def test_the_compensated_network_is_the_one_that_was_measured(finished_digits, real_chip) -> None:
    opened = hybridonn.load_run(finished_digits)
    test = load_dataset(opened.spec.data).test
    ended, student = opened.compensated(), opened.student()
    with torch.no_grad():
        found = (ended(to_scene(test.images)).argmax(1) == test.labels).float().mean()
    assert not ended.training
    wanted = opened.results["compensated"]["accuracy"]
    assert float(found) == pytest.approx(wanted, abs=0.02)  # it has no camera
    assert type(ended.frontend) is not type(student.frontend)
    with pytest.raises(DeploymentError, match="were not measured"):
        hybridonn.load_run(real_chip[0]).compensated()


def test_the_calls_of_the_front_door_are_the_commands(real_chip, no_report, tmp_path) -> None:
    run_folder, captures = real_chip
    found = hybridonn.deploy(str(run_folder), calibration=30, captures=str(captures))
    assert found["optics"] == "captures"
    again = hybridonn.compensate(str(run_folder), str(captures), method="none", fraction=0.5)
    assert (again["source"], again["captures"]) == ("captures", 30)
    with pytest.raises(ArtefactError, match=r"holds no captures .*captures import RUN"):
        hybridonn.compensate(run_folder, tmp_path / "absent")
    with pytest.raises(DataError, match="alignment is 'middle'"):
        hybridonn.captures_import(run_folder, captures, alignment="middle")
    with pytest.raises(DataError, match="nothing is given to import"):
        hybridonn.captures_import(str(run_folder), folder=tmp_path / "c")
    taken = hybridonn.captures_template(run_folder, tmp_path / "t", fraction=0.1, test_images=10)
    assert taken["test_images"] == 10 and (tmp_path / "t" / "manifest.csv").is_file()


def test_files_of_a_simulated_chip_are_not_those_of_the_real_one(
    real_chip, deployed_digits
) -> None:
    """A chip that was compensated after the deployment was answered by the older backend."""
    run_folder = real_chip[0]
    kept = run_folder / "deployed"
    aside = kept.rename(run_folder / ".aside") if kept.exists() else None
    shutil.copytree(deployed_digits / "deployed", kept)
    assert set(list_sources(run_folder)) == {"student", "compensated on captures"}
    with pytest.raises(DeploymentError, match=r"no stage fabricated any more; run `hybridonn dep"):
        open_system(run_folder)
    shutil.rmtree(kept)
    if aside is not None:
        aside.rename(kept)


def test_a_file_in_integers_that_loses_much_is_named() -> None:
    files = {"int8": {"accuracy": 0.9, "same_predictions": 0.9}, "tflite_micro": {"accuracy": 0.97}}
    (line,) = explain_losses({"accuracy": 0.972, **files, "onnx": {"accuracy": 0.1}})
    assert line.startswith("backend.int8.onnx has 90.00 % where torch has 97.20 %")


def test_captures_of_a_run_without_a_real_chip_are_refused(
    finished_digits: Path, tmp_path: Path
) -> None:
    with pytest.raises(DeploymentError, match="was not compensated on captures of a real chip"):
        deploy(finished_digits, (), 30, None, Silent(), tmp_path)


def test_the_cost_of_a_run_is_printed(finished_digits: Path) -> None:
    done = CliRunner().invoke(app, ["cost", str(finished_digits), "--json", "--mac-pj", "2"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    backend = found["cost"][2]
    assert [row["network"] for row in found["cost"]] == [row["network"] for row in found["energy"]]
    assert backend["read_out_pixels"] == 2 * 4 * 64
    assert found["energy"][2]["joules"] == pytest.approx(2e-12 * backend["macs"])


def test_the_report_shows_cost_and_files(deployed_digits: Path) -> None:
    shown = read_run(deployed_digits)
    (figure,) = (one for one in list_figures(shown) if one.name == "deployed")
    cells = [cell for row in figure.table for cell in row]
    results = json.loads((deployed_digits / "results.json").read_text())["deployed"]

    assert {"teacher", "the same network, all digital", "ONNX", "8-bit integers"} <= set(cells)
    assert f"{results['macs']['backend']:,}" in cells
    assert "Horowitz" in figure.caption
    assert len(figure.draw().axes) == 2


@pytest.mark.slow
def test_a_4f_chip_is_deployed_with_the_optics_as_it_was_made(tmp_path, no_report) -> None:
    """No file tells all of its masks, so it is made again; its twin has no Fourier transform."""
    settings = (
        *TINY,
        "optics.frontend=four_f",
        "optics.four_f={mask_pixels: 15, scene_pixel_um: 240}",
        "fabrication={preset: four-f-mnist, camera: false}",
        *("compensation.fraction=0.5", "compensation.methods=[none]"),
        *("compensation.distillation.method=none", "compensation.training.epochs=1"),
        "estimate.train_images=40",
        "student.kernels=2",
        "data.train_images=60",
    )
    results = run(read_spec(None, settings), tmp_path / "run")
    found = deploy(tmp_path / "run", (), 50, None, Silent())

    assert (found["optics"], found["backend"]) == ("fabricated", "compensated")
    assert found["accuracy"] == pytest.approx(results["compensated"]["accuracy"], abs=0.005)
    assert found["hybrid"]["largest_relative_difference"] < 1e-5
    opened = hybridonn.load_run(tmp_path / "run")
    test = load_dataset(opened.spec.data).test
    with torch.no_grad():  # no data set is read: the chip is made again of the spec alone
        seen = opened.compensated()(to_scene(test.images)).argmax(1) == test.labels
    assert float(seen.float().mean()) == pytest.approx(found["accuracy"], abs=1e-6)


@pytest.mark.slow
def test_an_all_digital_student_is_deployed_whole(tmp_path, no_report) -> None:
    folder = tmp_path / "run"
    run(read_spec(None, (*TINY, "student.optics=none", "estimate.train_images=50")), folder)
    found = deploy(folder, (), 50, None, Silent())
    assert not (folder / "layout").exists()
    assert found["onnx"]["same_predictions"] == found["hybrid"]["same_predictions"] == 1
    assert found["macs"]["backend"] == found["macs"]["digital"]
    manifest = read_manifest(folder / "deployed")
    assert [one.shape for one in manifest.branches] == [manifest.image_shape]
    drawn = [one.name for one in list_figures(read_run(folder))]
    assert "layout" not in drawn
    assert "kernels" in drawn
