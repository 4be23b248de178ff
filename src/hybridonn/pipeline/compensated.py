"""Stage ``compensated``: the backend set anew and fine-tuned on captures of a chip."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from hybridonn.compensation.answers import CompensationKnowledge
from hybridonn.compensation.calibration import Calibration, calibrate
from hybridonn.compensation.captured import Captured
from hybridonn.compensation.fine_tuning import Captures, fine_tune
from hybridonn.data.batches import to_scene
from hybridonn.data.dataset import Dataset, ImageSet
from hybridonn.data.splits import thin
from hybridonn.distillation.knowledge import StoredKnowledge, teacher_features
from hybridonn.distillation.tasks import TASKS
from hybridonn.distillation.training import predict
from hybridonn.errors import SpecError
from hybridonn.files import write_arrays, write_table, write_tensors
from hybridonn.networks.hybrid import HybridNetwork, count_parameters
from hybridonn.pipeline.as_built import answer, make_chip, stated
from hybridonn.pipeline.knowledge import SKETCH_WIDTH
from hybridonn.pipeline.stage import Finished, fingerprint, finish
from hybridonn.pipeline.teacher import load_teacher
from hybridonn.progress import Progress
from hybridonn.spec import Compensation, Method, Spec


def compensate(
    spec: Spec,
    dataset: Dataset,
    teacher: Finished,
    student: Finished,
    metasurface: Finished | None,
    folder: Path,
    progress: Progress,
) -> Finished:
    """Capture a part of the training images behind the simulated chip and win accuracy back.

    Args:
        spec: With ``fabrication`` and ``compensation``.
        dataset: Images; the test part is never trained on.
        teacher: The finished stage ``teacher``.
        student: The finished stage ``student``.
        metasurface: The finished stage ``metasurface``, if any.
        folder: Where the artefacts belong.
        progress: Shows how far it is.

    Raises:
        SpecError: The settings contradict one another.
    """
    settings = stated_compensation(spec)
    mark = fingerprint(
        stage="compensated",
        data=dataset.checksum,
        fabrication=stated(spec).model_dump(mode="json"),
        compensation=settings.model_dump(mode="json"),
        sensor=spec.optics.sensor.model_dump(mode="json"),
        teacher=teacher.fingerprint,
        student=student.fingerprint,
        metasurface=metasurface.fingerprint if metasurface else None,
    )

    def work(part: Path) -> dict[str, Any]:
        chip = make_chip(spec, dataset, student, metasurface, stated(spec))
        chosen = choose_captures(dataset.student_train, len(dataset.classes), settings)
        learnt = chip.capture(dataset.student_train.take(chosen), "student_train")
        test = chip.capture(dataset.test, "test")
        network = load_teacher(spec, dataset, teacher.folder)
        return win_back(spec, settings, chip.student, network, learnt, test, part, progress)

    return finish(folder, mark, work)


def stated_compensation(spec: Spec) -> Compensation:
    """The compensation that a spec states.

    Raises:
        SpecError: It states none, or one that cannot be.
    """
    settings = spec.compensation
    if settings is None:
        raise SpecError("compensation is not set; set it to {} for the defaults")
    if not settings.labelled and "none" in (*settings.methods, settings.distillation.method):
        raise SpecError(
            "compensation.labelled is false, but method none learns from labels alone; "
            "leave none out of compensation.methods and choose kd or ntkd"
        )
    if any(settings.training.augmentation.model_dump(exclude_defaults=True)):
        raise SpecError(
            "compensation.training.augmentation is set, but captures cannot be changed after "
            "they were taken; leave it out"
        )
    return settings


def choose_captures(images: ImageSet, classes: int, settings: Compensation) -> Tensor:
    """Positions of the images that are learnt from, every class in proportion, shuffled."""
    number = max(round(settings.fraction * len(images)), classes)
    generator = torch.Generator().manual_seed(settings.seed)
    if images.labels.ndim > 1:
        return torch.randperm(len(images), generator=generator)[:number]
    every = ImageSet(torch.arange(len(images)), images.labels)
    chosen = thin(every, classes, number, settings.seed).images
    return chosen[torch.randperm(len(chosen), generator=generator)]


def win_back(
    spec: Spec,
    settings: Compensation,
    student: HybridNetwork,
    teacher: nn.Module,
    learnt: Captured,
    test: Captured,
    part: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Calibrate, fine-tune by every method, and write what is best left to the chip.

    Args:
        spec: The task, and the student's spec.
        settings: How.
        student: With the optics as designed.
        teacher: Sees the raw images; in inference mode.
        learnt: Captures of training images.
        test: Captures of test images, only classified.
        part: Where the artefacts go.
        progress: Shows how far it is.

    Returns:
        The numbers of the stage.
    """
    task, began = TASKS[spec.task](), perf_counter()
    before = answer(student.backend, test.subtract(torch.ones(test.positive.shape[1], 2)))
    simulated = _simulate(student, learnt.shown)
    found = calibrate(student.backend, learnt, simulated, settings.calibration, settings.ridge)
    seen = test.subtract(found.gains)
    calibrated = answer(found.backend, seen)
    rows: list[dict[str, Any]] = [
        {"method": "uncompensated", task.metric: _measure(task, before, test), "seconds": 0.0},
        {
            "method": "calibrated",
            task.metric: _measure(task, calibrated, test),
            "seconds": round(perf_counter() - began, 2),
        },
    ]
    knowledge = _ask(spec, settings, student, teacher, learnt.shown, progress)
    backends: dict[str, nn.Module] = {}
    for method in _methods(settings):
        started = perf_counter()
        own = _settings_for(spec, settings, method)
        backend, history = _fine_tune(
            own, settings, student, found, learnt, knowledge, part, progress
        )
        logits = answer(backend, seen)
        row = {"method": method, task.metric: _measure(task, logits, test)}
        rows.append(row | {"seconds": round(perf_counter() - started, 2)})
        backends[method] = backend
        write_table(part / f"history_{method}.csv", history)
        if method == settings.distillation.method:
            _keep(part, backend, found, logits, test)
    write_table(part / "methods.csv", rows)
    chosen = next(row for row in rows if row["method"] == settings.distillation.method)
    return {
        "method": settings.distillation.method,
        task.metric: chosen[task.metric],
        "fraction": settings.fraction,
        "captures": len(learnt),
        "calibration": settings.calibration,
        "labelled": settings.labelled,
        **{f"{row['method']}_{task.metric}": row[task.metric] for row in rows},
        "seconds": round(perf_counter() - began, 2),
        "parameters": count_parameters(backends[settings.distillation.method]),
        "parameters_before": count_parameters(student.backend),
    }


def _methods(settings: Compensation) -> list[Method]:
    return list(dict.fromkeys([*settings.methods, settings.distillation.method]))


def _settings_for(spec: Spec, settings: Compensation, method: Method) -> Spec:
    stated = {name: getattr(settings, name) for name in ("distillation", "training", "tuned")}
    own = spec.model_copy(update=stated).for_method(method)
    if settings.labelled:
        return own
    unlabelled = own.distillation.model_copy(update={"task_weight": 0.0})
    return own.model_copy(update={"distillation": unlabelled})


@torch.no_grad()
def _simulate(student: HybridNetwork, shown: ImageSet) -> Tensor:
    return torch.cat([student.frontend(to_scene(some)) for some in shown.images.split(500)])


def _ask(
    spec: Spec,
    settings: Compensation,
    student: HybridNetwork,
    teacher: nn.Module,
    shown: ImageSet,
    progress: Progress,
) -> CompensationKnowledge:
    """The teacher's answers to the raw images; its tangent features only where they are matched."""
    sketch = None
    if "ntkd" in _methods(settings) and settings.tangent_teacher != "student":
        tangent = settings.distillation.tangent
        probes = TASKS[spec.task]().contraction(tangent.probes)
        rows = []
        with progress.bar("teacher's tangents", len(shown)) as advance:
            for some in shown.images.split(128):
                scene = to_scene(some)
                rows.append(
                    teacher_features(teacher, scene, SKETCH_WIDTH, tangent.teacher_layers, probes)
                )
                advance(len(some))
        sketch = torch.cat(rows)
    stored = StoredKnowledge(predict(teacher, shown.images), None, sketch)
    layers = settings.distillation.tangent.layers
    return CompensationKnowledge(stored, student, shown.images, layers, settings.tangent_teacher)


def _fine_tune(
    own: Spec,
    settings: Compensation,
    student: HybridNetwork,
    found: Calibration,
    learnt: Captured,
    knowledge: CompensationKnowledge,
    part: Path,
    progress: Progress,
) -> tuple[nn.Module, list[dict[str, Any]]]:
    task = TASKS[own.task](own.training.label_smoothing)
    labels = learnt.shown.labels
    if not settings.labelled:  # what the teacher says chooses the epoch, too
        every = torch.arange(len(learnt))
        labels = task.predict(knowledge.logits(every, torch.empty(0)))
    captures = Captures(
        learnt.subtract(found.gains),
        student.frontend.signed_kernels().detach(),
        labels,
        round(settings.held_out_fraction * len(learnt)),
    )
    checkpoint = part / f"checkpoint_{own.distillation.method}.safetensors"
    result = fine_tune(
        found.backend,
        captures,
        knowledge,
        own.training,
        own.distillation,
        task,
        settings.seed,
        checkpoint,
        progress,
    )
    checkpoint.unlink(missing_ok=True)
    return result


def _measure(task: Any, logits: Tensor, test: Captured) -> float:
    return task.measure(logits, test.shown.labels)[task.metric]


def _keep(
    part: Path, backend: nn.Module, found: Calibration, logits: Tensor, test: Captured
) -> None:
    write_tensors(part / "backend.safetensors", backend.state_dict())
    write_arrays(part / "gains.npz", gains=found.gains.numpy(), offsets=found.offsets.numpy())
    write_arrays(part / "predictions.npz", labels=test.shown.labels.numpy(), logits=logits.numpy())
