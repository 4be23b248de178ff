"""A task that the reports do not know has a report: nothing in them asks which task it is."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.reports.depth import Depth

from hybridonn.core.errors import ArtefactError
from hybridonn.core.tables import import_code
from hybridonn.reports.artefacts.predictions import read_predictions
from hybridonn.reports.artefacts.run import read_run
from hybridonn.reports.page import write_report
from hybridonn.reports.sections import all as table
from hybridonn.reports.sections.features import FEATURES
from hybridonn.reports.sections.mask_overlays import MASK_OVERLAYS

IMAGES, SIDE = 24, 28
SPEC = """task: segmentation
data: {name: dsb2018}
student: {backend: "mine:make", kernels: 8, kernel_size: 7}
"""


def write_depths(path, labels, noise, rng):
    """The depths that a network says; returns their metric."""
    outputs = torch.from_numpy(np.log(labels) + noise * rng.normal(size=labels.shape))[:, None]
    stored = {name: values.numpy() for name, values in Depth().store(outputs).items()}
    np.savez(path, labels=labels, **stored)
    return read_predictions(path, "a test", 1, Depth()).value


@pytest.fixture
def depths(run_folder, monkeypatch):
    """A finished run of depth regression, with a simulated chip."""
    monkeypatch.setattr(
        "hybridonn.tasks.task.TASK_CODE", {"segmentation": "tests.reports.depth:Depth"}
    )
    rng = np.random.default_rng(0)
    labels = rng.uniform(0.5, 9, (IMAGES, SIDE, SIDE)).astype(np.float32)
    results = json.loads((run_folder / "results.json").read_text())
    for name, noise in (("teacher", 0.1), ("student", 0.2)):
        value = write_depths(run_folder / name / "predictions.npz", labels, noise, rng)
        del results[name]["accuracy"]
        results[name]["delta1"] = value
        (run_folder / name / "embedding.npz").unlink()
        history = run_folder / name / "history.csv"
        history.write_text(history.read_text().replace("accuracy", "delta1"))
    results["fabricated"] = add_chip(run_folder, labels, rng) | {"ideal_delta1": value}
    (run_folder / "results.json").write_text(json.dumps(results))
    record = json.loads((run_folder / "record.json").read_text())
    record["data"]["classes"] = ["depth"]
    record["hashes"]["fabricated"] = "e" * 64
    (run_folder / "record.json").write_text(json.dumps(record))
    (run_folder / "spec.yaml").write_text(SPEC)
    path = run_folder / "student" / "examples.npz"
    np.savez(path, **(dict(np.load(path)) | {"labels": labels[:2]}))
    return run_folder


def add_chip(folder, labels, rng):
    place = folder / "fabricated"
    place.mkdir()
    kernels = np.load(folder / "student" / "kernels.npz")["kernels"]
    psf = np.stack([np.maximum(kernels, 0), np.maximum(-kernels, 0)], 1)[..., ::-1, ::-1]
    np.savez(place / "kernels.npz", designed=kernels)
    np.savez(place / "psf.npz", psf=psf, gains=np.ones(psf.shape[:3]))
    return {"delta1": write_depths(place / "predictions.npz", labels, 0.4, rng)}


def test_a_run_of_a_third_task_has_a_report(depths):
    text = " ".join(write_report(depths).read_text("utf-8").split())
    run = read_run(depths)
    assert isinstance(run.task, Depth)
    for name in ("teacher", "student"):
        assert f"{100 * run.models[name].predictions.value:.1f} % δ1" in text or name == "teacher"
        assert f"{name} δ1" in text
    assert f"{100 * run.chip.treatments[0].value:.1f} % (" in text
    assert Depth.measures_note in text
    assert "Validation" not in text  # it is drawn, not written
    shown = {section.name for section in table.list_sections(run)}
    assert shown == {"layout", "kernels", "features", "training", "chip", "chip_psfs"}
    for word in ("accuracy", "mIoU", "mask", "confus", "t-SNE"):
        assert word not in text.split("<pre>")[0], word


def test_its_own_section_is_shown_for_it_alone(depths, monkeypatch):
    own = replace(FEATURES, name="depth_maps", by_task=True)
    monkeypatch.setattr(table, "SECTIONS", (*table.SECTIONS, own))
    run = read_run(depths)
    assert "depth_maps" in {section.name for section in table.list_sections(run)}
    assert not MASK_OVERLAYS.shows(run)


def test_its_damaged_predictions_are_refused_in_its_words(depths):
    path = depths / "student" / "predictions.npz"
    np.savez(path, **(dict(np.load(path)) | {"labels": np.ones((2, SIDE, SIDE))}))
    with pytest.raises(ArtefactError, match=r"depths \(24, 28, 28\) for \(2, 28, 28\)"):
        read_run(depths)


def test_its_contact_sheet_is_drawn():
    images, labels = np.zeros((3, 1, 8, 8), np.uint8), np.ones((3, 8, 8), np.float32)
    figure = import_code(Depth.contact_sheet)("rooms", images, labels, ("depth",))
    assert figure.get_suptitle().startswith("rooms")
