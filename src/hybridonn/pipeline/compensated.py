"""Stage ``compensated``: the backend set anew and fine-tuned on captures of a chip."""

from __future__ import annotations

from collections.abc import Callable
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
from hybridonn.files import write_table
from hybridonn.networks.hybrid import HybridNetwork, count_parameters
from hybridonn.pipeline.as_built import make_chip, stated
from hybridonn.pipeline.knowledge import SKETCH_WIDTH
from hybridonn.pipeline.stage import Finished, fingerprint, finish
from hybridonn.pipeline.teacher import load_teacher
from hybridonn.pipeline.treated import Treated, embed_both, judge, keep, measure
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
    illustrated: bool = True,
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
        illustrated: Whether to keep what only a report needs.

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
        illustrated=illustrated,
    )

    def work(part: Path) -> dict[str, Any]:
        chip = make_chip(spec, dataset, student, metasurface, stated(spec), progress)
        images, classes = dataset.student_train, len(dataset.classes)
        test = chip.capture(dataset.test, "test")
        network = load_teacher(spec, dataset, teacher.folder)

        def learn(some: Compensation) -> Captured:
            chosen = choose_captures(images, classes, some)
            return chip.capture(images.take(chosen), "student_train")

        found = win_back(
            spec, settings, chip.student, network, learn, test, part, progress, illustrated
        )
        return found | {"source": "simulation"}

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
    learn: Callable[[Compensation], Captured],
    test: Captured,
    part: Path,
    progress: Progress,
    illustrated: bool = True,
) -> dict[str, Any]:
    """Calibrate, fine-tune by every method, and write what is best left to the chip.

    Args:
        spec: The task, and the student's spec.
        settings: How.
        student: With the optics as designed.
        teacher: Sees the raw images; in inference mode.
        learn: The captures of training images at the fraction of its settings.
        test: Captures of test images, only classified.
        part: Where the artefacts go.
        progress: Shows how far it is.
        illustrated: Whether to keep what only a report needs.

    Returns:
        The numbers of the stage.
    """
    task = TASKS[spec.task]()
    learnt = learn(settings)
    began = perf_counter()
    treated = _treat(spec, settings, student, teacher, learnt, test, part, progress)
    seconds = round(perf_counter() - began, 2)
    kept = next(one for one in treated if one.method == settings.distillation.method)
    scores = keep(part, task, treated, kept, test)
    if illustrated:
        embed_both(part, treated[0], kept, test)
    curve = [_point(settings, len(learnt), treated, spec, test)]
    for fraction in sorted({*settings.fractions} - {settings.fraction}):
        own = settings.model_copy(update={"fraction": fraction, "methods": ()})
        some = learn(own)
        found = _treat(spec, own, student, teacher, some, test, part, progress)
        curve.append(_point(own, len(some), found, spec, test))
    write_table(part / "fractions.csv", sorted(curve, key=lambda row: row["fraction"]))
    return {
        "method": kept.method,
        task.metric: scores[kept.method],
        "fraction": settings.fraction,
        "captures": len(learnt),
        "calibration": settings.calibration,
        "labelled": settings.labelled,
        **{f"{method}_{task.metric}": score for method, score in scores.items()},
        "seconds": seconds,
        "parameters": count_parameters(kept.backend),
        "parameters_before": count_parameters(student.backend),
    }


def _treat(
    spec: Spec,
    settings: Compensation,
    student: HybridNetwork,
    teacher: nn.Module,
    learnt: Captured,
    test: Captured,
    part: Path,
    progress: Progress,
) -> list[Treated]:
    """The chip as it is, calibrated, and fine-tuned by every method, in this order."""
    kernels, began = test.positive.shape[1], perf_counter()
    design = Calibration(torch.ones(kernels, 2), torch.zeros(kernels), student.backend)
    treated = [judge("uncompensated", student.backend, design, test)]
    simulated = _simulate(student, learnt.shown)
    found = calibrate(student.backend, learnt, simulated, settings.calibration, settings.ridge)
    treated.append(judge("calibrated", found.backend, found, test, began))
    knowledge = _ask(spec, settings, student, teacher, learnt.shown, progress)
    for method in _methods(settings):
        started = perf_counter()
        own = _settings_for(spec, settings, method)
        backend, history = _fine_tune(
            own, settings, student, found, learnt, knowledge, part, progress
        )
        treated.append(judge(method, backend, found, test, started, history))
    return treated


def _point(
    settings: Compensation, captures: int, treated: list[Treated], spec: Spec, test: Captured
) -> dict[str, Any]:
    """The metric at one fraction of captures, calibrated and by the method that is kept."""
    wanted = {"calibrated": "calibrated", settings.distillation.method: "fine_tuned"}
    task = TASKS[spec.task]()
    row: dict[str, Any] = {"fraction": settings.fraction, "captures": captures}
    for one in treated:
        if one.method in wanted:
            row[wanted[one.method]] = measure(task, one, test)
    return row


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
    checkpoint = part / f"checkpoint_{own.distillation.method}_{settings.fraction}.safetensors"
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
