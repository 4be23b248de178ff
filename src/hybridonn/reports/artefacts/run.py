"""What a finished run folder holds, read and checked before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hybridonn.core.errors import ArtefactError, HybridonnError
from hybridonn.core.yaml_reading import parse_yaml
from hybridonn.optics.layout.sites import Layout
from hybridonn.reports.artefacts.chip import Chip, read_chip
from hybridonn.reports.artefacts.estimate import Estimated, read_estimate
from hybridonn.reports.artefacts.layout_file import LayoutDrawing, read_drawing
from hybridonn.reports.artefacts.masks import MaskPredictions, Overlays
from hybridonn.reports.artefacts.metasurface import SimulatedOptics, read_optics
from hybridonn.reports.artefacts.numbers import RECORD, RESULTS, check_values
from hybridonn.reports.artefacts.pillar_maps import WidthMaps, read_width_maps
from hybridonn.reports.artefacts.predictions import (
    Embedding,
    Predictions,
    check_labels,
    check_metric,
    read_answers,
    read_embeddings,
)
from hybridonn.reports.artefacts.reading import (
    Table,
    read_arrays,
    read_json,
    read_table,
    read_text,
    refusal,
)
from hybridonn.reports.artefacts.task import find_task

if TYPE_CHECKING:
    from hybridonn.tasks.task import Task

PIPELINE = "the run itself"


@dataclass(frozen=True)
class Model:
    """What the stage of one network, teacher or student, leaves behind.

    Of an answer a pixel there is no embedding.
    """

    history: Table
    predictions: Predictions | MaskPredictions
    embedding: Embedding | None


@dataclass(frozen=True)
class Examples:
    """What the sensor sees of some test images.

    Attributes:
        scene: Images, (E, C, H, W), in [0, 1].
        features: Difference pictures, plus part less minus part, (E, K, H', W').
        labels: True classes, (E,), or masks, (E, H, W).
    """

    scene: np.ndarray
    features: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Branch:
    """The kernels of one branch of the optics.

    Attributes:
        kernels: Which of all kernels.
        size: Side of a kernel, in pixels of the branch's sensor.
        binning: Scene pixels, along one side, in such a pixel.
    """

    kernels: slice
    size: int
    binning: int


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
        wavelengths_nm: Wavelengths of the C bands, (C,); None: not stated.
        examples: What the sensor sees.
        estimate: What was promised before training; None: the run has no estimate.
        optics: What the metasurface does; None: the run designs none.
        layout_file: The file that was made of it; None: none was, or of another design.
        overlays: Test images to be shown with their masks; None: answers are no masks.
        chip: What fabrication cost and compensation won back; None: there is no chip.
        baseline: Answers of the same student trained without a teacher; None: there is none.
        width_maps: The designed pillars of one kernel; None: none, or of an earlier version.
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
    optics: SimulatedOptics | None = None
    layout_file: LayoutDrawing | None = None
    overlays: Overlays | None = None
    chip: Chip | None = None
    baseline: Predictions | MaskPredictions | None = None
    width_maps: WidthMaps | None = None

    @property
    def branches(self) -> tuple[Branch, ...]:
        """The kernels of each branch of the optics; one branch where the spec states none."""
        return list_branches(self.spec, len(self.kernels), self.kernels.shape[-1])

    @property
    def task(self) -> Task:
        """What the network is for."""
        return find_task(self.results["student"])

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return tuple(str(name) for name in self.record["data"]["classes"])


def read_run(folder: Path) -> Run:
    """Read every artefact that a report shows.

    A run whose results hold no ``teacher`` has no teacher, one without ``estimate`` no
    estimate and one without ``metasurface`` no metasurface; all else must be there.

    Raises:
        ArtefactError: A file is missing, damaged, or contradicts another one.
    """
    if not (folder / "record.json").exists():
        raise ArtefactError(
            f"{folder} is no finished run: it holds no record.json, which a run writes last; name "
            "the folder of a run, or let the run come to its end: hybridonn run SPEC"
        )
    record = read_json(folder / "record.json", PIPELINE)
    results = read_json(folder / "results.json", PIPELINE)
    _require(record, ("data", "seconds", "versions", "seeds"), folder / "record.json")
    _require(results, ("student",), folder / "results.json")
    classes = record["data"].get("classes")
    check_values(record, RECORD, folder / "record.json", PIPELINE)
    check_values(results, RESULTS, folder / "results.json", PIPELINE)
    if not isinstance(classes, list) or not classes:
        raise ArtefactError(
            refusal(folder / "record.json", PIPELINE, "data.classes names no classes")
        )
    names = [name for name in ("teacher", "student") if name in results]
    models = {name: _read_model(folder, name, len(classes), results[name]) for name in names}
    _check_same_images(folder, models)
    student = models["student"].predictions
    layout = _read_layout(folder / "layout" / "layout.json")
    path = folder / "student" / "kernels.npz"
    kernels, wavelengths = _read_kernels(path)
    if len(kernels) != layout.kernels:
        found = f"it holds {len(kernels)} kernels, and layout.json places {layout.kernels}"
        raise ArtefactError(refusal(path, "the student stage", found))
    simulated = results.get("metasurface")
    optics = read_optics(folder, simulated, kernels) if simulated else None
    return Run(
        folder=folder,
        spec=read_text(folder / "spec.yaml", PIPELINE),
        record=record,
        results=results,
        layout=layout,
        models=models,
        kernels=kernels,
        wavelengths_nm=wavelengths,
        examples=_read_examples(
            folder / "student" / "examples.npz",
            kernels,
            len(classes),
            student.labels.ndim,
        ),
        estimate=(
            read_estimate(folder, results["estimate"], student) if "estimate" in results else None
        ),
        optics=optics,
        layout_file=read_drawing(folder) if simulated else None,
        overlays=_read_overlays(folder, results, student),
        chip=read_chip(folder, record, results, student, len(classes), optics),
        width_maps=read_width_maps(folder, optics.shown[0]) if optics else None,
        baseline=_read_baseline(folder, results, student, len(classes)),
    )


def list_branches(spec: str, kernels: int, size: int) -> tuple[Branch, ...]:
    """The branches of a design.

    Args:
        spec: The text of spec.yaml.
        kernels: Number of kernels of all branches together.
        size: Side of the largest kernel.
    """
    try:
        tree = parse_yaml(spec, "spec.yaml")["student"]["branches"]
        stated = [(int(b["kernels"]), int(b["kernel_size"]), int(b["binning"])) for b in tree]
    except (HybridonnError, KeyError, TypeError, ValueError, OverflowError):
        stated = []  # a spec of one branch, or of a student of another kind
    sane = all(count > 0 and 0 < side <= size and binning > 0 for count, side, binning in stated)
    if not sane or sum(count for count, _, _ in stated) != kernels:
        return (Branch(slice(0, kernels), size, 1),)
    ends = accumulate((count for count, _, _ in stated), initial=0)
    return tuple(
        Branch(slice(*ends), side, binning)
        for ends, (_, side, binning) in zip(pairwise(ends), stated, strict=True)
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
    task = find_task(numbers if isinstance(numbers, dict) else ())
    predictions = read_answers(path, stage, classes, task)
    check_metric(predictions, numbers, task.metric, path, name)
    if "embedding" not in task.sections:
        return Model(history, predictions, None)
    embedding = read_embeddings(folder / name / "embedding.npz", stage, classes)["positions"]
    return Model(history, predictions, embedding)


def _check_same_images(folder: Path, models: dict[str, Model]) -> None:
    """Refuse a teacher that was tested on other images than the student: they are compared.

    Raises:
        ArtefactError: The labels of the two differ.
    """
    labels = [model.predictions.labels for model in models.values()]
    if not all(np.array_equal(labels[0], other) for other in labels[1:]):
        found = "its test images are not those of the student"
        raise ArtefactError(
            refusal(folder / "teacher" / "predictions.npz", "the teacher stage", found)
        )


def _read_baseline(
    folder: Path, results: dict[str, Any], student: Predictions | MaskPredictions, classes: int
) -> Predictions | MaskPredictions | None:
    """The answers of the student without a teacher; None: there is none, or it kept none.

    Raises:
        ArtefactError: The file is damaged, or of other test images.
    """
    path, stage = folder / "baseline" / "predictions.npz", "the baseline stage"
    if "baseline" not in results or not path.is_file():
        return None
    task = find_task(results["student"])
    answers = read_answers(path, stage, classes, task)
    check_metric(answers, results["baseline"], task.metric, path, "baseline")
    if not np.array_equal(answers.labels, student.labels):
        raise ArtefactError(refusal(path, stage, "its test images are not those of the student"))
    return answers


def _read_overlays(
    folder: Path, results: dict[str, Any], student: Predictions | MaskPredictions
) -> Overlays | None:
    if "mask_overlays" not in find_task(results["student"]).sections:
        return None
    stage, path = "the mask_overlays stage", folder / "mask_overlays" / "overlays.npz"
    shapes = {"scenes": 4, "positions": 1}
    arrays = read_arrays(path, stage, shapes, texts={"reasons": 1}, whole=("positions",))
    reasons = arrays["reasons"]
    scenes, positions = arrays["scenes"], arrays["positions"]
    fit = scenes.shape[-2:] == student.labels.shape[1:] and positions.min() >= 0
    if not (fit and positions.max() < student.total and len(positions) == len(scenes)):
        found = f"pictures {scenes.shape} for masks {student.labels.shape}"
        raise ArtefactError(refusal(path, stage, found))
    if reasons.shape != positions.shape:
        raise ArtefactError(refusal(path, stage, "it lacks a reason for each picture"))
    return Overlays(scenes / 255, positions, tuple(map(str, reasons)))


def _read_kernels(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    stage = "the student stage"
    arrays = read_arrays(path, stage, {"kernels": 4}, optional={"wavelengths_nm": 1})
    kernels, wavelengths = arrays["kernels"], arrays.get("wavelengths_nm")
    if kernels.shape[2] != kernels.shape[3]:
        raise ArtefactError(refusal(path, stage, f"kernels {kernels.shape} are not square"))
    if wavelengths is not None and wavelengths.shape != (kernels.shape[1],):
        found = f"{wavelengths.size} wavelengths for kernels of {kernels.shape[1]} bands"
        raise ArtefactError(refusal(path, stage, found))
    return kernels, wavelengths


def _read_examples(path: Path, kernels: np.ndarray, classes: int, dimensions: int) -> Examples:
    stage = "the student stage"
    arrays = read_arrays(path, stage, {"scene": 4, "features": 4, "labels": dimensions})
    examples = Examples(arrays["scene"], arrays["features"], arrays["labels"])
    if not len(examples.scene) == len(examples.features) == len(examples.labels):
        counts = [len(examples.scene), len(examples.features), len(examples.labels)]
        raise ArtefactError(
            refusal(path, stage, f"scene, features and labels count {counts} examples")
        )
    if examples.features.shape[1] != len(kernels):
        found = f"features of {examples.features.shape[1]} kernels"
        raise ArtefactError(refusal(path, stage, f"{found}; kernels.npz holds {len(kernels)}"))
    check_labels(examples.labels, classes, path, stage)
    return examples


def chip_of(run: Run) -> Chip:
    """The chip of a run that has one: a section of the chip is built only then."""
    assert run.chip is not None
    return run.chip


def optics_of(run: Run) -> SimulatedOptics:
    """The simulated metasurface of a run that has one."""
    assert run.optics is not None
    return run.optics
