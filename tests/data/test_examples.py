"""The examples whose images cannot be shipped, on a few images in the same layout."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hybridonn.core.random import generator_of
from hybridonn.data import load_batch, load_dataset
from hybridonn.pipeline.run import run
from hybridonn.spec import read_spec

PARTS = ("train", "val", "test")
EXAMPLES = Path(__file__).parents[2] / "examples"


def test_image_folder(tmp_path, pictures):
    pictures.classes(tmp_path / "mine", ("cats", "dogs", "owls"), count=8, size=(40, 50))
    pictures.save(tmp_path / "mine" / "dogs" / "grey.png", size=(33, 32), mode="L")
    settings = (f"data.folder={tmp_path / 'mine'}",)
    spec = read_spec(EXAMPLES / "image_folder.yaml", settings)
    dataset = load_dataset(spec.data)
    assert dataset.image_shape == (3, 32, 32)
    assert dataset.classes == ("cats", "dogs", "owls")
    assert len(dataset.test) == 5


def test_carvana(tmp_path, pictures):
    for number in range(10):
        stem = f"0cdf5b5d0ce1_{number:02d}"
        pictures.save(tmp_path / "carvana" / "train" / f"{stem}.jpg", number, size=(1280, 1918))
        mask = np.zeros((1280, 1918), dtype=np.uint8)
        mask[300:900, 400:1500] = 255
        path = tmp_path / "carvana" / "train_masks" / f"{stem}_mask.gif"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(mask).save(path)
    spec = read_spec(EXAMPLES / "carvana.yaml")
    dataset = load_dataset(spec.data, tmp_path)
    assert dataset.image_shape == (3, 128, 192)
    assert len(dataset.test) == 2
    share = 600 * 1100 / (1280 * 1918)
    assert float(dataset.train.labels.double().mean()) == pytest.approx(share, rel=0.01)
    generator = generator_of("order", 0, 0)
    changes = spec.teacher.training.augmentation
    scene, masks = load_batch(dataset.train, torch.arange(4), dataset.task, changes, generator)
    assert scene.shape == (4, 3, 128, 192)
    assert masks.shape == (4, 128, 192)


def test_the_whole_job_of_image_folder(tmp_path, pictures):
    pictures.classes(tmp_path / "mine", ("cats", "dogs"), count=12, size=(20, 20))
    settings = (
        f"data.folder={tmp_path / 'mine'}",
        "data.size_pixels=16",
        "teacher.arguments={width: 4}",
        "teacher.training.epochs=1",
        "training.epochs=1",
        "estimate.draws=1",
    )
    spec = read_spec(EXAMPLES / "image_folder.yaml", settings)
    results = run(spec, tmp_path / "run")
    assert results["student"]["parameters"]["optical"] == 16 * 3 * 49
    assert 0 <= results["student"]["accuracy"] <= 1
    assert "cats" in (tmp_path / "run" / "report.html").read_text()


def test_the_whole_job_of_carvana(tmp_path, pictures):
    for number in range(24):
        stem = f"0cdf5b5d0ce1_{number:02d}"
        pictures.save(tmp_path / "carvana" / "train" / f"{stem}.jpg", number, size=(32, 48))
        mask = np.zeros((32, 48), dtype=np.uint8)
        mask[8:24, 4 + number : 20 + number] = 255
        path = tmp_path / "carvana" / "train_masks" / f"{stem}_mask.gif"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(mask).save(path)
    settings = (
        "data.size_pixels=[16, 24]",
        "teacher.arguments={width: 4, depth: 2}",
        "teacher.training.epochs=1",
        "training.epochs=1",
        "training.augmentation.crop_pixels=2",
        "teacher.training.augmentation.crop_pixels=2",
        "estimate.draws=1",
    )
    results = run(read_spec(EXAMPLES / "carvana.yaml", settings), tmp_path / "run", tmp_path)
    assert results["student"]["parameters"]["optical"] == 56 * 3 * 9
    assert 0 <= results["student"]["miou"] <= 1
    assert 0 <= results["estimate"]["miou"] <= 1
    assert "car" in (tmp_path / "run" / "report.html").read_text()


def test_oct(tmp_path, pictures):
    for part, patients in (("train", range(10, 16)), ("test", range(20, 22))):
        for kind in ("CNV", "DME", "DRUSEN", "NORMAL"):
            for patient in patients:
                path = tmp_path / "OCT2017" / part / kind / f"{kind}-{patient}-1.jpeg"
                pictures.save(path, patient, size=(50, 77), mode="L")
    spec = read_spec(EXAMPLES / "oct.yaml", ("data.validation_fraction=0.2",))
    dataset = load_dataset(spec.data, tmp_path)
    assert dataset.image_shape == (1, 96, 96)
    assert dataset.classes == ("CNV", "DME", "DRUSEN", "NORMAL")
    assert set(dataset.test.patients) == {"20", "21"}
    assert not set(dataset.train.patients) & set(dataset.validation.patients)
    assert load_batch(
        dataset.train, torch.arange(4), dataset.task, spec.training.augmentation, generator_of("x")
    )[0].shape == (4, 1, 96, 96)


def test_pneumonia(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {f"{part}_images": rng.integers(0, 256, (8, 28, 28), np.uint8) for part in PARTS}
    arrays |= {f"{part}_labels": np.arange(8)[:, None] % 2 for part in PARTS}
    np.savez(tmp_path / "pneumoniamnist.npz", **arrays)
    spec = read_spec(EXAMPLES / "pneumonia.yaml")
    dataset = load_dataset(spec.data, tmp_path)
    assert dataset.classes == ("normal", "pneumonia")
    weights = spec.distillation.task_weight, spec.distillation.kd_weight
    assert (*weights, spec.distillation.temperature) == (0.3, 0.7, 4)


@pytest.mark.slow
def test_oct_on_real_scans(unpacked_data_root, tmp_path, monkeypatch):
    """32 scans of the release: split by patient, drawn, and reported by patient."""
    folder = unpacked_data_root / "oct" / "val"
    if not folder.is_dir():
        pytest.skip(f"needs scans of Kermany's release: looked in {folder}")
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache"))
    settings = (
        f"data.folder={folder}",
        *("data.validation_fraction=0.25", "data.test_fraction=0.35", "data.size_pixels=32"),
        *("student.kernels=2", "student.pooled_size=4", "student.hidden=[8]"),
        *("teacher.name=lenet", "teacher.training.epochs=1", "training.epochs=1"),
        *("distillation.method=none", "estimate.train_images=8", "training.views=1"),
    )
    spec = read_spec(EXAMPLES / "oct.yaml", settings)
    dataset = load_dataset(spec.data)
    sets = [set(part.patients) for part in (dataset.train, dataset.validation, dataset.test)]
    assert not (sets[0] & sets[1] or sets[0] & sets[2] or sets[1] & sets[2])
    assert sum(map(len, (dataset.train, dataset.validation, dataset.test))) == 32
    results = run(spec, tmp_path / "run")
    by_patient = results["student"]["by_patient"]
    assert by_patient["patients"] == len(sets[2]) == np.sum(by_patient["confusion"])
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Which classes are confused, by patient" in page
