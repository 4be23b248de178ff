"""Stage ``teacher``: trained once for its data and settings, reused by every run."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hybridonn.core.errors import TrainingError
from hybridonn.data.dataset import Dataset
from hybridonn.distillation.balance import find_upper_bound
from hybridonn.distillation.class_weights import make_trained_task
from hybridonn.distillation.loss import Objective
from hybridonn.distillation.parallel import Team, find_team, tell_all
from hybridonn.distillation.training import TrainingSetup, choose_device, predict, train, validate
from hybridonn.networks.hybrid import count_parameters
from hybridonn.networks.memory import lay_channels_last
from hybridonn.networks.teachers.build import build_stated_teacher, load_weights
from hybridonn.pipeline.artefacts import diagnose_patients, keep_training
from hybridonn.pipeline.stage import Context, Stage
from hybridonn.pipeline.stage_folder import name_unfinished
from hybridonn.pipeline.weights import put_weights
from hybridonn.spec import Spec, narrow

CHECKPOINT = "checkpoint.safetensors"
# What it takes to build the teacher and load the weights of its stage.
BUILT_FROM = tuple(
    f"teacher.{key}" for key in ("name", "code_folder", "arguments", "weights", "seed")
)


def load_teacher(spec: Spec, dataset: Dataset, folder: Path) -> nn.Module:
    """The trained teacher, in inference mode and laid out for images with channels last.

    Args:
        spec: What built it.
        dataset: What it was trained on.
        folder: Its finished stage.
    """
    teacher = _build(spec, dataset)
    put_weights(teacher, folder / "weights.safetensors")
    lay_channels_last(teacher)
    return teacher.eval()


def read_validation(folder: Path, metric: str) -> float:
    """The teacher's score on the validation images, at the epoch whose weights were kept.

    Args:
        folder: Its finished stage.
        metric: Name of the task's metric.
    """
    with (folder / "history.csv").open(newline="") as file:
        return max(float(row[f"validation_{metric}"]) for row in csv.DictReader(file))


def find_teacher_bound(folder: Path, dataset: Dataset) -> float:
    """The validation score beyond which a student has left the teacher behind by more than chance.

    Args:
        folder: The teacher's finished stage.
        dataset: The images.
    """
    score = read_validation(folder, dataset.task.metric)
    return find_upper_bound(score, len(dataset.validation))


def _build(spec: Spec, dataset: Dataset) -> nn.Module:
    shape, classes = dataset.image_shape, len(dataset.classes)
    outputs = dataset.task.output_shape(classes, shape)
    return build_stated_teacher(spec.teacher, shape, classes, outputs=outputs)


def _inputs(spec: Spec) -> Spec:
    return narrow(spec, "task", "teacher")


def _run(context: Context) -> dict[str, Any]:
    """Train the teacher on all training images.

    With ``teacher.weights`` nothing is trained: they are loaded and measured.

    Raises:
        ArtefactError: Its weights cannot be read or are another network's.
        SpecError: The teacher cannot be built or does not fit the data.
        TrainingError: Its loss or its logits are not finite.
    """
    spec, dataset, part = context.spec, context.dataset, context.part
    team = find_team()
    teacher, setup = _prepare(spec, dataset, team)
    task = setup.objective.task
    if spec.teacher.weights:
        history = _load(teacher, spec.teacher.weights, setup)
    else:
        if team.shared:
            call_others(True)
        history = train(teacher, setup, part / CHECKPOINT, context.progress)
    logits = predict(teacher, dataset.test.images)
    _refuse_not_finite(logits, spec)
    keep_training(part, teacher, history, logits, dataset.test, task)
    return {
        "name": spec.teacher.name,
        **task.measure(logits, dataset.test.labels),
        "intervals": task.intervals(logits, dataset.test.labels, dataset.test.patients),
        **diagnose_patients(task, logits, dataset.test),
        "parameters": count_parameters(teacher),
        "epochs": history[-1]["epoch"],
        "seconds": round(sum(row["seconds"] for row in history), 2),
    }


def _prepare(spec: Spec, dataset: Dataset, team: Team) -> tuple[nn.Module, TrainingSetup]:
    """The untrained teacher and how it is trained."""
    training = spec.teacher.training
    labels, classes = dataset.train.labels, len(dataset.classes)
    task = make_trained_task(spec.task, training, labels, classes, "teacher.training")
    setup = TrainingSetup(
        Objective(task),
        dataset.train,
        dataset.validation,
        training,
        spec.teacher.seed,
        "teacher",
        team=team,
    )
    return _build(spec, dataset), setup


def help_training(spec: Spec, dataset: Dataset, folder: Path) -> None:
    """Take a share of every batch while process 0 trains the teacher, as often as it does.

    Args:
        spec: What the user states.
        dataset: The images.
        folder: Folder of the stage in the run of process 0, whose checkpoint is read.

    Raises:
        TrainingError: The loss is not finite, or a process is gone.
    """
    while call_others(False):
        teacher, setup = _prepare(spec, dataset, find_team())
        train(teacher, setup, name_unfinished(folder) / CHECKPOINT)


def call_others(begins: bool) -> bool:
    """Whether a training begins: process 0 says so, the others wait for it.

    Args:
        begins: What process 0 says; False: there is no more to train.
    """
    return bool(tell_all({"begins": float(begins)}, torch.device("cpu"))["begins"])


def _refuse_not_finite(logits: Tensor, spec: Spec) -> None:
    bad = int((~logits.flatten(1).isfinite().all(1)).sum())
    if bad:
        cure = (
            f"teacher.weights {spec.teacher.weights} holds numbers that are too large: name others"
            if spec.teacher.weights
            else "lower teacher.training.learning_rate"
        )
        raise TrainingError(
            f"teacher {spec.teacher.name} gives logits that are not finite for {bad:,} of "
            f"{len(logits):,} test images; {cure}"
        )


def _load(teacher: nn.Module, weights: Path, setup: TrainingSetup) -> list[dict[str, Any]]:
    load_weights(teacher, weights.expanduser())
    teacher.to(choose_device(setup.settings.device)).eval()
    return [{"epoch": 0, **validate(teacher, setup), "seconds": 0.0}]


TEACHER = Stage("teacher", _inputs, _run, data="teacher", shared="teachers")
