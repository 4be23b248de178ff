"""What a finished run folder holds, read and checked before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hybridonn.core.errors import ArtefactError, DataError, SpecError
from hybridonn.networks.frontends.table import FRONTENDS
from hybridonn.optics.layout.sites import Layout
from hybridonn.reports.artefacts.chip import Chip, read_chip
from hybridonn.reports.artefacts.embedding import Embedding, read_embeddings
from hybridonn.reports.artefacts.estimate import Estimated, read_estimate
from hybridonn.reports.artefacts.layout_file import LayoutDrawing, read_drawing
from hybridonn.reports.artefacts.mask_overlays import Overlays, read_overlays, shows_overlays
from hybridonn.reports.artefacts.metasurface import SimulatedOptics, read_optics
from hybridonn.reports.artefacts.numbers import RECORD, check_values, list_result_kinds
from hybridonn.reports.artefacts.pillar_maps import WidthMaps, read_width_maps
from hybridonn.reports.artefacts.predictions import (
    Predictions,
    as_tensor,
    check_metric,
    read_predictions,
)
from hybridonn.reports.artefacts.reading import (
    Table,
    read_arrays,
    read_json,
    read_table,
    read_text,
    refusal,
)
from hybridonn.spec import Branch, Spec, checksum_spec, read_spec

if TYPE_CHECKING:
    from hybridonn.tasks.task import Task

PIPELINE = "the run itself"


@dataclass(frozen=True)
class Model:
    """What the stage of one network, teacher or student, leaves behind.

    Attributes:
        history: Columns of the training, a row an epoch.
        predictions: Predictions on the test images.
        embedding: Test features laid out in the plane; None: the task's reports show none.
    """

    history: Table
    predictions: Predictions
    embedding: Embedding | None


@dataclass(frozen=True)
class Examples:
    """What the sensor sees of some test images.

    Attributes:
        scene: Images, (E, C, H, W), in [0, 1].
        features: Difference of the frames behind positive and negative part, (E, K, H', W').
        labels: What is true of each image, (E, ...).
    """

    scene: np.ndarray
    features: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Run:
    """A finished run folder.

    Attributes:
        folder: Where it lies.
        spec: The spec that the run was made from.
        spec_text: The text of spec.yaml.
        task: What the network is for.
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
        overlays: Test images to be shown with their masks; None: the task's reports show none.
        chip: What fabrication cost and compensation won back; None: there is no chip.
        baseline: Predictions of the same student trained without a teacher; None: there are none.
        width_maps: The designed pillars of one kernel; None: none, or of an earlier version.
    """

    folder: Path
    spec: Spec
    spec_text: str
    task: Task
    record: dict[str, Any]
    results: dict[str, Any]
    layout: Layout | None
    models: dict[str, Model]
    kernels: np.ndarray
    wavelengths_nm: np.ndarray | None
    examples: Examples
    estimate: Estimated | None = None
    optics: SimulatedOptics | None = None
    layout_file: LayoutDrawing | None = None
    overlays: Overlays | None = None
    chip: Chip | None = None
    baseline: Predictions | None = None
    width_maps: WidthMaps | None = None

    @property
    def branches(self) -> tuple[tuple[slice, Branch], ...]:
        """Each branch of the optics with its places among all kernels; at least one."""
        pairs = self.spec.student.split_kernels()
        if not FRONTENDS[self.spec.frontend].own_size:
            return pairs
        size = {"kernel_size": self.kernels.shape[-1]}
        return tuple((places, branch.model_copy(update=size)) for places, branch in pairs)

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
    spec, task = _read_spec(folder / "spec.yaml", record)
    results = read_json(folder / "results.json", PIPELINE)
    _require(record, ("data", "seconds", "versions", "seeds"), folder / "record.json")
    _require(results, ("student",), folder / "results.json")
    classes = record["data"].get("classes")
    check_values(record, RECORD, folder / "record.json", PIPELINE)
    kinds = list_result_kinds(task.shares)
    check_values(results, kinds, folder / "results.json", PIPELINE)
    if not isinstance(classes, list) or not classes:
        raise ArtefactError(
            refusal(folder / "record.json", PIPELINE, "data.classes names no classes")
        )
    names = [name for name in ("teacher", "student") if name in results]
    models = {name: _read_model(folder, name, len(classes), results[name], task) for name in names}
    _check_same_images(folder, models)
    student = models["student"].predictions
    optical = FRONTENDS[spec.frontend].optical
    layout = _read_layout(folder / "layout" / "layout.json") if optical else None
    path = folder / "student" / "kernels.npz"
    kernels, wavelengths = _read_kernels(path, spec)
    if layout is not None and len(kernels) != layout.kernels:
        found = f"it holds {len(kernels)} kernels, and layout.json places {layout.kernels}"
        raise ArtefactError(refusal(path, "the student stage", found))
    simulated = results.get("metasurface")
    optics = read_optics(folder, simulated, kernels) if simulated else None
    return Run(
        folder=folder,
        spec=spec,
        spec_text=read_text(folder / "spec.yaml", PIPELINE),
        task=task,
        record=record,
        results=results,
        layout=layout,
        models=models,
        kernels=kernels,
        wavelengths_nm=wavelengths,
        examples=_read_examples(folder / "student" / "examples.npz", kernels, len(classes), task),
        estimate=(
            read_estimate(folder, results["estimate"], student) if "estimate" in results else None
        ),
        optics=optics,
        layout_file=read_drawing(folder) if simulated else None,
        overlays=_read_overlays(folder, student),
        chip=read_chip(folder, record, results, student, len(classes), optics),
        width_maps=read_width_maps(folder, optics.shown[0]) if optics else None,
        baseline=_read_baseline(folder, results, student, len(classes)),
    )


def _read_overlays(folder: Path, student: Predictions) -> Overlays | None:
    if not shows_overlays(student.task):
        return None
    path = folder / "mask_overlays" / "overlays.npz"
    return read_overlays(path, "the mask_overlays stage", student)


def _read_spec(path: Path, record: dict[str, Any]) -> tuple[Spec, Task]:
    """The spec of a run, and the task that it states.

    Raises:
        ArtefactError: The file is missing or damaged, holds what no spec allows, or was changed
            since the run.
    """
    from hybridonn.tasks.task import make_task  # imports torch

    read_text(path, PIPELINE)
    try:
        spec = read_spec(path)
    except SpecError as error:
        raise ArtefactError(refusal(path, PIPELINE, str(error))) from None
    if record.get("spec_checksum") not in (None, checksum_spec(path, ArtefactError)):
        wrong = "it was changed since, and is not the spec that the stages were made with"
        raise ArtefactError(refusal(path, PIPELINE, wrong))
    return spec, make_task(spec.task)


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


def _read_model(
    folder: Path, name: str, classes: int, numbers: dict[str, Any], task: Task
) -> Model:
    stage = f"the {name} stage"
    history = read_table(folder / name / "history.csv", stage, ("epoch",))
    path = folder / name / "predictions.npz"
    predictions = read_predictions(path, stage, classes, task)
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
    folder: Path, results: dict[str, Any], student: Predictions, classes: int
) -> Predictions | None:
    """The predictions of the student without a teacher; None: there is none, or it kept none.

    Raises:
        ArtefactError: The file is damaged, or of other test images.
    """
    path, stage = folder / "baseline" / "predictions.npz", "the baseline stage"
    if "baseline" not in results or not path.is_file():
        return None
    found = read_predictions(path, stage, classes, student.task)
    check_metric(found, results["baseline"], student.task.metric, path, "baseline")
    if not np.array_equal(found.labels, student.labels):
        raise ArtefactError(refusal(path, stage, "its test images are not those of the student"))
    return found


def _read_kernels(path: Path, spec: Spec) -> tuple[np.ndarray, np.ndarray | None]:
    stage = "the student stage"
    arrays = read_arrays(path, stage, {"kernels": 4}, optional={"wavelengths_nm": 1})
    kernels, wavelengths = arrays["kernels"], arrays.get("wavelengths_nm")
    if kernels.shape[2] != kernels.shape[3]:
        raise ArtefactError(refusal(path, stage, f"kernels {kernels.shape} are not square"))
    branches = [branch for _, branch in spec.student.split_kernels()]
    size = max(branch.kernel_size for branch in branches)
    own_size = FRONTENDS[spec.frontend].own_size
    stated = spec.student.kernels, kernels.shape[-1] if own_size else size
    if (len(kernels), kernels.shape[-1]) != stated:
        found = f"{len(kernels)} kernels of {kernels.shape[-1]} pixels along a side"
        wanted = f"spec.yaml states {stated[0]} of {stated[1]}"
        raise ArtefactError(refusal(path, stage, f"it holds {found}, and {wanted}"))
    if wavelengths is not None and wavelengths.shape != (kernels.shape[1],):
        found = f"{wavelengths.size} wavelengths for kernels of {kernels.shape[1]} bands"
        raise ArtefactError(refusal(path, stage, found))
    return kernels, wavelengths


def _read_examples(path: Path, kernels: np.ndarray, classes: int, task: Task) -> Examples:
    stage = "the student stage"
    shapes = {"scene": 4, "features": 4, "labels": task.label_dimensions}
    arrays = read_arrays(path, stage, shapes)
    examples = Examples(arrays["scene"], arrays["features"], arrays["labels"])
    if not len(examples.scene) == len(examples.features) == len(examples.labels):
        counts = [len(examples.scene), len(examples.features), len(examples.labels)]
        raise ArtefactError(
            refusal(path, stage, f"scene, features and labels count {counts} examples")
        )
    if examples.features.shape[1] != len(kernels):
        found = f"features of {examples.features.shape[1]} kernels"
        raise ArtefactError(refusal(path, stage, f"{found}; kernels.npz holds {len(kernels)}"))
    try:
        task.check_labels(as_tensor(examples.labels), as_tensor(examples.scene), classes)
    except DataError as error:
        raise ArtefactError(refusal(path, stage, str(error))) from None
    return examples


def chip_of(run: Run) -> Chip:
    """The chip of a run that has one: a section of the chip is built only then."""
    assert run.chip is not None
    return run.chip


def layout_of(run: Run) -> Layout:
    """The layout of a run that has optics."""
    assert run.layout is not None
    return run.layout


def optics_of(run: Run) -> SimulatedOptics:
    """The simulated metasurface of a run that has one."""
    assert run.optics is not None
    return run.optics
