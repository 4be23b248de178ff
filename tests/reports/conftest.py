"""A small finished run folder, made of seeded random numbers."""

import csv
import json

import numpy as np
import pytest

from hybridonn.core.files import checksum_of, write_json
from hybridonn.pipeline.from_spec import lay_out_kernels
from hybridonn.spec import Optics, dump_spec, read_spec

VALIDATION = ("validation_loss", "validation_accuracy")
NASTY = "<script>alert(1)</script> & $x^"


def write_mark(stage):
    """The record of a complete stage; it lists no file, so that tests may change all of them."""
    record = {"fingerprint": "f" * 64, "seconds": 0, "results": {}, "files": {}}
    write_json(stage / "stage.json", record | {"checksum": checksum_of(record)})


def write_history(path, epochs, rng, terms):
    falling = np.exp(-np.arange(epochs) / 6)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", "learning_rate", "seconds", "loss", *terms, *VALIDATION])
        for epoch in range(epochs):
            values = {name: level * falling[epoch] + 0.01 for name, level in terms.items()}
            if "alignment" in values:
                values["alignment"] = 0.9 - 0.5 * falling[epoch]
            loss = 2 * falling[epoch] + 0.02 * (1 + rng.random())
            accuracy = 0.98 - 0.8 * np.exp(-epoch / 2) - 0.01 * rng.random()
            validation = "" if epoch == 1 else 1.3 * loss
            writer.writerow([epoch + 1, 0.01, 0.4, loss, *values.values(), validation, accuracy])


def write_predictions(path, labels, classes, wrong, rng):
    logits = rng.normal(size=(len(labels), classes))
    named = labels.copy()
    named[:wrong] = (labels[:wrong] + 1 + rng.integers(0, classes - 1, wrong)) % classes
    logits[np.arange(len(labels)), named] += 20
    np.savez(path, labels=labels, logits=logits.astype(np.float32))
    return float((logits.argmax(1) == labels).mean())


def write_networks(folder, labels, classes, wrong, epochs, rng):
    accuracies = {}
    for name in ("teacher", "student"):
        (folder / name).mkdir()
        terms = {"task": 1.0, "kd": 0.8, "ntk": 0.4, "alignment": 1.0} if name == "student" else {}
        write_history(folder / name / "history.csv", epochs, rng, terms)
        path = folder / name / "predictions.npz"
        accuracies[name] = write_predictions(path, labels, classes, wrong[name], rng)
        centres = 10 * rng.normal(size=(classes, 2))
        positions = centres[labels] + rng.normal(size=(len(labels), 2))
        np.savez(folder / name / "embedding.npz", positions=positions, labels=labels)
    return accuracies


def write_optics(folder, kernels, size, bands, rng):
    grid = np.linspace(-1, 1, size)
    x, y = np.meshgrid(grid, grid)
    angles = rng.uniform(0, 2 * np.pi, (kernels, bands, 1, 1))
    waves = np.sin(5 * (x * np.cos(angles) + y * np.sin(angles)) + angles)
    weights = (0.3 * waves * np.exp(-2 * (x**2 + y**2))).astype(np.float32)
    stated = {"wavelengths_nm": np.array([635.0, 532.0, 450.0])} if bands == 3 else {}
    np.savez(folder / "student" / "kernels.npz", kernels=weights, **stated)
    scene = np.zeros((2, bands, 28, 28), np.float32)
    scene[:, :, 6:22, 12:16] = np.linspace(0.4, 1, bands)[None, :, None, None]
    scene[1, :, 6:10, 6:22] = 0.9
    edge = 28 - size + 1
    windows = np.lib.stride_tricks.sliding_window_view(scene, (size, size), axis=(2, 3))
    features = np.einsum("echwij,kcij->ekhw", windows, weights)
    assert features.shape[2] == edge
    np.savez(
        folder / "student" / "examples.npz", scene=scene, features=features, labels=np.array([1, 7])
    )


SIDE = 4  # cells along a pixel of a metasurface's image


def parts_of(kernels):
    """Upright targets from 0 to 1, and what they were divided by."""
    turned = kernels[..., ::-1, ::-1]
    parts = np.stack([np.maximum(turned, 0), np.maximum(-turned, 0)], axis=1)
    scale = parts.max(axis=(1, 3, 4))
    return (parts / scale[:, None, :, None, None]).astype(np.float32), scale


def write_metasurface(folder, strategy="kernels-first", window=15):
    """Put the artefacts of a perfect metasurface into a run folder."""
    kernels = np.load(folder / "student" / "kernels.npz")["kernels"]
    target, scale = parts_of(kernels)
    size, colours = kernels.shape[-1], kernels.shape[1]

    def pad(planes, pixels):
        margin = (pixels - size) // 2
        return np.pad(planes, [(0, 0)] * 3 + [(margin, margin)] * 2)

    fine = pad(target[:4], size + 4).repeat(SIDE, -1).repeat(SIDE, -2)
    stage = folder / "metasurface"
    stage.mkdir(exist_ok=True)
    arrays = {
        "psf": pad(target, window) / 8,
        "target": target,
        "gains": np.repeat(8 * scale[:, None], 2, axis=1),
        "fine_psf": fine / 8 / SIDE**2,
        "fine_target": fine,
    }
    np.savez(stage / "psf.npz", **arrays)
    write_mark(stage)
    numbers = {
        "kernel_error": 0.0437,
        "kernel_error_worst": 0.0886,
        "kernel_error_by_colour": [0.04 + 0.01 * colour for colour in range(colours)],
        "psf_residual": [0.83 - 0.1 * colour for colour in range(colours)],
        "authors_loss": 0.694,
        "efficiency": 0.538,
        "crosstalk": 0.166,
        "crosstalk_worst": 0.24,
        "crosstalk_accuracy": 0.86,
        "camera_accuracy": 0.8635,
        "accuracy": 0.8607,
        "ideal_accuracy": 0.8635,
        "strategy": strategy,
    }
    if strategy == "end-to-end":
        first = {"accuracy": 0.85, "kernel_error": 0.05, "psf_residual": [0.9] * colours}
        numbers |= {f"kernels_first_{key}": value for key, value in first.items()}
    results = json.loads((folder / "results.json").read_text())
    (folder / "results.json").write_text(json.dumps(results | {"metasurface": numbers}))
    return folder, kernels, numbers, arrays


def make_run(folder, *, classes=None, kernels=8, bands=1, images=360, wrong=None, epochs=12):
    rng = np.random.default_rng(0)
    classes = classes or [str(digit) for digit in range(10)]
    wrong = wrong or {"teacher": 4, "student": 10}
    folder.mkdir(parents=True, exist_ok=True)
    labels = rng.integers(0, len(classes), images)
    accuracies = write_networks(folder, labels, len(classes), wrong, epochs, rng)
    write_optics(folder, kernels, 7, bands, rng)
    side = 4.0 if kernels <= 8 else 11.0
    optics = Optics(metasurface_width_mm=side, metasurface_height_mm=side)
    layout = lay_out_kernels(optics, kernels)
    (folder / "layout").mkdir()
    (folder / "layout" / "layout.json").write_text(json.dumps(layout.to_dict()))
    spec = read_spec(None, (f"student.kernels={kernels}", "student.kernel_size=7"))
    (folder / "spec.yaml").write_text(dump_spec(spec))
    results = {
        "layout": {"kernels": kernels, "sites": 16, "rows": layout.rows, "columns": layout.columns},
        "teacher": {
            "name": "lenet",
            "accuracy": accuracies["teacher"],
            "parameters": 61706,
            "seconds": 14.2,
        },
        "student": {
            "method": "ntkd",
            "accuracy": accuracies["student"],
            "seconds": 21.7,
            "parameters": {"optical": 49 * kernels, "digital": 47140},
            "alignment": 0.8731,
            "extra": {"calibration_error": 0.0123},
        },
    }
    (folder / "results.json").write_text(json.dumps(results))
    record = {
        "started": "2026-11-21T10:00:00+00:00",
        "finished": "2026-11-21T10:01:00+00:00",
        "seconds": {"layout": 0.01, "teacher": 14.2, "student": 21.7},
        "versions": {"python": "3.11.9", "torch": "2.13.0", "hybridonn": "0.1.0"},
        "machine": {"system": "Linux", "cores": 2},
        "seeds": {"seed": 0, "split": 0},
        "hashes": {"layout": "a" * 64, "teacher": "b" * 64, "student": "c" * 64},
        "command": "hybridonn run spec.yaml --out runs/demo",
        "data": {
            "name": "digits",
            "classes": classes,
            "train": 1294,
            "student_train": 1000,
            "validation": 143,
            "test": images,
            "checksum": "0123456789abcdef" * 4,
        },
    }
    (folder / "record.json").write_text(json.dumps(record))
    return folder


@pytest.fixture
def run_folder(tmp_path):
    return make_run(tmp_path / "demo")


@pytest.fixture(scope="session")
def make():
    return make_run


@pytest.fixture(scope="session")
def add_metasurface():
    return write_metasurface


@pytest.fixture
def nasty():
    return NASTY


@pytest.fixture
def comparison():
    rng = np.random.default_rng(1)
    seeds = list(range(5))
    base = rng.normal(0, 0.004, 5)
    methods = {}
    for name, label, level in (
        ("none", "task alone", 0.930),
        ("kd", "task + KD", 0.942),
        ("ntkd", "task + KD + NTK", 0.948),
    ):
        values = level + base + rng.normal(0, 0.002, 5)
        methods[name] = {
            "label": label,
            "values": values.tolist(),
            "mean": values.mean(),
            "standard_deviation": values.std(ddof=1),
        }
    differences = [
        {"method": "kd", "baseline": "none", "mean": 0.012, "low": 0.009, "high": 0.015, "n": 5},
        {"method": "ntkd", "baseline": "none", "mean": 0.018, "low": 0.013, "high": 0.023, "n": 5},
        {"method": "ntkd", "baseline": "kd", "mean": 0.006, "low": -0.001, "high": 0.013, "n": 5},
    ]
    return {
        "design": "digits",
        "metric": "accuracy",
        "label": "accuracy",
        "methods": methods,
        "seeds": seeds,
        "differences": differences,
        "teacher": 0.993,
    }
