"""Stage ``student``: the hybrid network, trained by the stated method of distillation."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from shutil import copyfile
from typing import Any

import torch
from torch import nn

from hybridonn.core.files import write_arrays
from hybridonn.core.tables import import_code
from hybridonn.data.batches import to_scene
from hybridonn.data.dataset import Dataset
from hybridonn.data.indexed import pack_labels
from hybridonn.distillation.best_epoch import find_best
from hybridonn.distillation.class_weights import make_trained_task
from hybridonn.distillation.loss import Objective, weigh
from hybridonn.distillation.methods import (
    BASELINE,
    TERMS,
    is_own_code,
    list_settings,
    needs_teacher,
)
from hybridonn.distillation.training import StepContext, TrainingSetup, predict, train
from hybridonn.networks.frontends.drawn_chips import behind_chip, draw_chip
from hybridonn.networks.frontends.table import FRONTENDS
from hybridonn.networks.hybrid import HybridNetwork, count_parameters
from hybridonn.networks.student import build_student
from hybridonn.optics.fabrication.chip_errors import ChipErrors
from hybridonn.pipeline.artefacts import diagnose_patients, keep_outcome, keep_training
from hybridonn.pipeline.from_spec import lay_out_kernels, read_magnitudes
from hybridonn.pipeline.run_folder import MEASUREMENT
from hybridonn.pipeline.stage import Context, Stage
from hybridonn.pipeline.stages.alignment import ALIGNMENT, load_aligned, watched_kernel
from hybridonn.pipeline.stages.layout import PLACED_BY
from hybridonn.pipeline.stages.teacher import BUILT_FROM, TEACHER, find_teacher_bound
from hybridonn.pipeline.stages.teacher_targets import TEACHER_TARGETS, load_targets
from hybridonn.spec import Distillation, Spec, Tangent, narrow
from hybridonn.spec.consistency import list_robust_keys
from hybridonn.tangent import centred_alignment

SHOWN = 6  # test images whose images behind the optics are kept for the report


def narrow_student(spec: Spec, *more: str) -> Spec:
    """What a student depends on, and more keys, of a spec.

    What the method does not use has its default, so that it makes no difference.

    Args:
        spec: The whole spec.
        *more: Further keys, see :func:`hybridonn.spec.narrow`.
    """
    stated = spec.distillation
    seen = {"tangent": Tangent(probes=stated.tangent.probes)}  # by which students are compared
    seen |= {name: getattr(stated, name) for name in list_settings(stated.method)}
    if is_own_code(stated.method):
        seen["code_folder"] = stated.code_folder
    objective = Distillation(method=stated.method, robust=stated.robust, **seen)
    keys = [*BUILT_FROM, "task", "seed", "student", "distillation", "training", "optics.frontend"]
    keys += FRONTENDS[spec.frontend].reads
    if spec.distillation.robust:
        # The layout tells which sub-optics are neighbours.
        keys += [*PLACED_BY, *(f"fabrication.{name}" for name in list_robust_keys(spec))]
    return narrow(spec.model_copy(update={"distillation": objective}), *keys, *more)


def _behind_chips(spec: Spec) -> StepContext:
    """Each training step behind a chip of its own, where training is robust."""
    if not spec.distillation.robust or spec.fabrication is None:
        return lambda network, step: nullcontext()
    errors = ChipErrors(magnitudes=read_magnitudes(spec.fabrication, *list_robust_keys(spec)))
    layout = lay_out_kernels(spec.optics, spec.student.kernels)
    return lambda network, step: behind_chip(network, draw_chip(errors, spec.seed, step), layout)


def set_up_training(context: Context) -> TrainingSetup:
    """What a student is trained on and how, by the method of the spec.

    Args:
        context: A stage that needs the teacher and its targets.
    """
    spec, dataset = context.spec, context.dataset
    targets = teacher_bound = None
    if needs_teacher(spec.distillation.method):
        stages = context.need(TEACHER), context.need(TEACHER_TARGETS)
        targets = load_targets(spec, dataset, *stages)
        teacher_bound = find_teacher_bound(stages[0].folder, dataset)
    labels = dataset.student_train.labels
    task = make_trained_task(spec.task, spec.training, labels, len(dataset.classes))
    return TrainingSetup(
        Objective(task, spec.distillation, targets),
        dataset.student_train,
        dataset.validation,
        spec.training,
        spec.seed,
        f"student ({spec.distillation.method}, seed {spec.seed})",
        step_context=_behind_chips(spec),
        teacher_bound=teacher_bound,
    )


def _run(context: Context) -> dict[str, Any]:
    """Train the student by the method of the spec.

    Raises:
        SpecError: The design does not fit the images.
        TrainingError: The loss is not finite.
    """
    spec, dataset, part = context.spec, context.dataset, context.part
    aligned = load_aligned(context.need(ALIGNMENT))
    student = build_student(
        spec.student, dataset.image_shape, len(dataset.classes), spec.seed, spec.optics, spec.task
    )
    illustrated = context.options["illustrated"]
    setup = set_up_training(context)
    if illustrated:  # the curve of a report; a study's trainings of few images would wait for it
        setup = replace(
            setup,
            epoch_callback=lambda network: {"alignment": _align(network, spec, dataset, aligned)},
        )
    task = setup.objective.task
    told = _tell_optics(context)
    history = train(student, setup, part / "checkpoint.safetensors", context.progress)
    logits = predict(student, dataset.test.images)
    if illustrated:
        keep_training(part, student, history, logits, dataset.test, task)
        _keep_optics(part, student, dataset)
    else:
        keep_outcome(part, student, history, logits, dataset.test, task)
    best, divided = history[find_best(history, task.metric)], student.divide()
    return {
        "method": spec.distillation.method,
        "seed": spec.seed,
        **task.measure(logits, dataset.test.labels),
        "intervals": task.intervals(logits, dataset.test.labels, dataset.test.patients),
        **diagnose_patients(task, logits, dataset.test),
        f"validation_{task.metric}": best[f"validation_{task.metric}"],
        "alignment": _align(student, spec, dataset, aligned),
        "epochs": len(history),
        "best_epoch": best["epoch"],
        "seconds": round(sum(row["seconds"] for row in history), 2),
        "parameters": {
            "optical": count_parameters(divided.frontend),
            "digital": count_parameters(divided.backend),
        },
        "weights": weigh(spec.distillation)
        | {name: best[TERMS[name].weight] for name in setup.objective.balanced},
        **({"optics": told} if told else {}),
    }


def _tell_optics(context: Context) -> list[str]:
    """Say how optics that exist were read, and keep a copy of what was measured of them."""
    spec = context.spec
    if spec.optics.frontend == "measured" and spec.optics.measured is not None:
        stated = spec.optics.measured.psfs.expanduser()
        copyfile(stated, context.part / f"{MEASUREMENT}{stated.suffix}")
    code = FRONTENDS[spec.frontend].tells
    told = import_code(code)(spec.student, context.dataset.image_shape, spec.optics) if code else []
    for sentence in told:
        context.progress.say(sentence)
    return told


def _align(student: nn.Module, spec: Spec, dataset: Dataset, aligned: torch.Tensor) -> float:
    kernel = watched_kernel(student, spec, dataset)
    return float(centred_alignment(kernel, aligned.to(kernel.device)))


@torch.no_grad()
def _keep_optics(part: Path, student: HybridNetwork, dataset: Dataset) -> None:
    some = dataset.test.take(torch.arange(min(SHOWN, len(dataset.test))))
    scene = to_scene(some.images)
    pictures = student.frontend(scene.to(next(student.parameters()).device))
    write_arrays(part / "kernels.npz", kernels=student.frontend.signed_kernels().cpu().numpy())
    write_arrays(
        part / "examples.npz",
        scene=scene.numpy(),
        features=_join_pictures(pictures).contiguous().numpy(),
        **pack_labels(some.labels),
    )


def _join_pictures(branches: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """All kernels' images, (B, K, H', W'), coarser ones with each pixel repeated."""
    height, width = branches[0].shape[-2:]
    same = [
        one.repeat_interleave(height // one.shape[-2], -2).repeat_interleave(
            width // one.shape[-1], -1
        )
        for one in branches
    ]
    return torch.cat(same, 1).float().cpu()


STUDENT = Stage(
    "student",
    narrow_student,
    _run,
    needs=(TEACHER, ALIGNMENT, TEACHER_TARGETS),
    options={"illustrated": True},
)
# Without what only a report needs: for studies.
PLAIN_STUDENT = STUDENT.with_options(illustrated=False)
# The same student, trained on the labels alone, with which the teacher is compared.
BASELINE_STUDENT = replace(
    PLAIN_STUDENT,
    name="baseline",
    inputs=lambda spec: narrow_student(spec.for_method(BASELINE)),
    needs=(TEACHER, ALIGNMENT),
    wanted=lambda spec: spec.distillation.baseline and spec.distillation.method != BASELINE,
)
