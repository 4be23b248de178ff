"""What a finished run folder holds, read and checked before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hybridonn.errors import ArtefactError
from hybridonn.optics.layout import Layout
from hybridonn.reports.estimate import Estimated, read_estimate
from hybridonn.reports.reading import Table, read_arrays, read_json, read_table, read_text, refusal

PIPELINE = "the run itself"


@dataclass(frozen=True)
class Predictions:
    """A network's answers on the test set.

    Attributes:
        labels: True classes, (N,).
        logits: Outputs, (N, classes).
    """

    labels: np.ndarray
    logits: np.ndarray

    @property
    def correct(self) -> int:
        """How many test images the network names rightly."""
        return int((self.logits.argmax(axis=1) == self.labels).sum())

    @property
    def total(self) -> int:
        """How many test images there are."""
        return len(self.labels)

    @property
    def accuracy(self) -> float:
        """Share of the test images that the network names rightly."""
        return self.correct / self.total


@dataclass(frozen=True)
class Embedding:
    """Test features laid out in the plane.

    Attributes:
        positions: t-SNE coordinates, (M, 2).
        labels: True classes, (M,).
    """

    positions: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Model:
    """What the stage of one network, teacher or student, leaves behind."""

    history: Table
    predictions: Predictions
    embedding: Embedding


@dataclass(frozen=True)
class Examples:
    """What the sensor sees of some test images.

    Attributes:
        scene: Images, (E, C, H, W), in [0, 1].
        features: Difference pictures, plus part less minus part, (E, K, H', W').
        labels: True classes, (E,).
    """

    scene: np.ndarray
    features: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Run:
    """A finished run folder.

    Attributes:
        folder: Where it lies.
        spec: The text of spec.yaml.
        record: Versions, seeds, hashes, machine, times, data.
        results: Every number, keys by stage.
        layout: Where the kernels lie.
        models: By name; the student, and the teacher where the run has one.
        kernels: Signed kernels, (K, C, k, k).
        wavelengths_nm: Of the C bands, (C,); None: not stated.
        examples: What the sensor sees.
        estimate: What was promised before training; None: the run has no estimate.
    """

    folder: Path
    spec: str
    record: dict[str, Any]
    results: dict[str, Any]
    layout: Layout
    models: dict[str, Model]
    kernels: np.ndarray
    wavelengths_nm: np.ndarray | None
    examples: Examples
    estimate: Estimated | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return tuple(str(name) for name in self.record["data"]["classes"])


def read_run(folder: Path) -> Run:
    """Read every artefact that a report shows.

    A run whose results hold no ``teacher`` has no teacher, and one without ``estimate``
    no estimate; all else must be there.

    Raises:
        ArtefactError: A file is missing, damaged, or contradicts another one.
    """
    record = read_json(folder / "record.json", PIPELINE)
    results = read_json(folder / "results.json", PIPELINE)
    _require(record, ("data", "seconds", "versions", "seeds"), folder / "record.json")
    _require(results, ("student",), folder / "results.json")
    classes = record["data"].get("classes")
    if not isinstance(classes, list) or not classes:
        raise ArtefactError(
            refusal(folder / "record.json", PIPELINE, "data.classes names no classes")
        )
    names = [name for name in ("teacher", "student") if name in results]
    models = {name: _read_model(folder, name, len(classes), results[name]) for name in names}
    layout = _read_layout(folder / "layout" / "layout.json")
    path = folder / "student" / "kernels.npz"
    kernels, wavelengths = _read_kernels(path)
    if len(kernels) != layout.kernels:
        found = f"it holds {len(kernels)} kernels, and layout.json places {layout.kernels}"
        raise ArtefactError(refusal(path, "the student stage", found))
    return Run(
        folder=folder,
        spec=read_text(folder / "spec.yaml", PIPELINE),
        record=record,
        results=results,
        layout=layout,
        models=models,
        kernels=kernels,
        wavelengths_nm=wavelengths,
        examples=_read_examples(folder / "student" / "examples.npz", kernels, len(classes)),
        estimate=read_estimate(folder, results["estimate"]) if "estimate" in results else None,
    )


def _require(tree: dict[str, Any], keys: tuple[str, ...], path: Path) -> None:
    for key in keys:
        if not isinstance(tree.get(key), dict):
            raise ArtefactError(refusal(path, PIPELINE, f"it lacks the section {key}"))


def _read_layout(path: Path) -> Layout:
    tree = read_json(path, "the layout stage")
    try:
        return Layout.from_dict(tree)
    except ArtefactError as error:
        raise ArtefactError(refusal(path, "the layout stage", str(error))) from None


def _read_model(folder: Path, name: str, classes: int, numbers: dict[str, Any]) -> Model:
    stage = f"the {name} stage"
    history = read_table(folder / name / "history.csv", stage, ("epoch",))
    path = folder / name / "predictions.npz"
    arrays = read_arrays(path, stage, {"labels": 1, "logits": 2})
    predictions = Predictions(arrays["labels"], arrays["logits"])
    if predictions.logits.shape != (predictions.total, classes):
        shape = f"logits {predictions.logits.shape} for {predictions.total} labels"
        raise ArtefactError(refusal(path, stage, f"{shape} and {classes} classes"))
    _check_labels(predictions.labels, classes, path, stage)
    _check_accuracy(predictions, numbers, path, name)
    path = folder / name / "embedding.npz"
    arrays = read_arrays(path, stage, {"positions": 2, "labels": 1})
    embedding = Embedding(arrays["positions"], arrays["labels"])
    if embedding.positions.shape != (len(embedding.labels), 2):
        shape = f"positions {embedding.positions.shape} for {len(embedding.labels)} labels"
        raise ArtefactError(refusal(path, stage, shape))
    _check_labels(embedding.labels, classes, path, stage)
    return Model(history, predictions, embedding)


def _check_labels(labels: np.ndarray, classes: int, path: Path, stage: str) -> None:
    if not np.issubdtype(labels.dtype, np.integer):
        raise ArtefactError(refusal(path, stage, f"labels are {labels.dtype}, not integers"))
    if labels.min() < 0 or labels.max() >= classes:
        found = f"labels go from {labels.min()} to {labels.max()}"
        raise ArtefactError(refusal(path, stage, f"{found}; there are {classes} classes"))


def _check_accuracy(
    predictions: Predictions, numbers: dict[str, Any], path: Path, name: str
) -> None:
    # Predictions of another run beside these results would make a false report.
    stated = numbers.get("accuracy") if isinstance(numbers, dict) else None
    if not isinstance(stated, int | float):
        raise ArtefactError(
            refusal(path.parents[1] / "results.json", PIPELINE, f"it lacks {name}.accuracy")
        )
    # One image may sit on a tie that another precision breaks; 0.001 is for rounded results.
    if abs(stated - predictions.accuracy) > 1e-3 + 1 / predictions.total:
        raise ArtefactError(
            refusal(
                path,
                f"the {name} stage",
                f"its accuracy is {predictions.accuracy:.4f}, and results.json "
                f"says {name}.accuracy {stated:.4f}",
            )
        )


def _read_kernels(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    stage = "the student stage"
    arrays = read_arrays(path, stage, {"kernels": 4})
    kernels, wavelengths = arrays["kernels"], arrays.get("wavelengths_nm")
    if kernels.shape[2] != kernels.shape[3]:
        raise ArtefactError(refusal(path, stage, f"kernels {kernels.shape} are not square"))
    if wavelengths is not None and wavelengths.shape != (kernels.shape[1],):
        found = f"{wavelengths.size} wavelengths for kernels of {kernels.shape[1]} bands"
        raise ArtefactError(refusal(path, stage, found))
    return kernels, wavelengths


def _read_examples(path: Path, kernels: np.ndarray, classes: int) -> Examples:
    stage = "the student stage"
    arrays = read_arrays(path, stage, {"scene": 4, "features": 4, "labels": 1})
    examples = Examples(arrays["scene"], arrays["features"], arrays["labels"])
    if not len(examples.scene) == len(examples.features) == len(examples.labels):
        counts = [len(examples.scene), len(examples.features), len(examples.labels)]
        raise ArtefactError(
            refusal(path, stage, f"scene, features and labels count {counts} examples")
        )
    if examples.features.shape[1] != len(kernels):
        found = f"features of {examples.features.shape[1]} kernels"
        raise ArtefactError(refusal(path, stage, f"{found}; kernels.npz holds {len(kernels)}"))
    _check_labels(examples.labels, classes, path, stage)
    return examples
