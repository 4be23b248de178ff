"""Stage ``teacher``: trained once for its data and settings, reused by every run."""

from __future__ import annotations

import hashlib
import importlib
from pathlib import Path
from typing import Any

from torch import nn

from hybridonn.data.dataset import Dataset
from hybridonn.distillation.objective import Objective
from hybridonn.distillation.tasks import TASKS
from hybridonn.distillation.training import Lesson, choose_device, predict, train, validate
from hybridonn.errors import ArtefactError
from hybridonn.files import read_tensors
from hybridonn.networks.hybrid import count_parameters
from hybridonn.networks.memory import lay_channels_last
from hybridonn.networks.teachers import BUILT_IN, build_teacher, load_weights
from hybridonn.pipeline.evidence import keep_evidence
from hybridonn.pipeline.stage import Finished, fingerprint, finish
from hybridonn.progress import Progress
from hybridonn.spec import Spec


def teach(spec: Spec, dataset: Dataset, folder: Path, progress: Progress) -> Finished:
    """Train the teacher on all training images, or take the one that was trained before.

    With ``teacher.weights`` nothing is trained: they are loaded and measured.

    Raises:
        ArtefactError: Its weights cannot be read or are another network's.
        SpecError: The teacher cannot be built or does not fit the data.
        TrainingError: Its loss is not finite.
    """
    mark = fingerprint(
        stage="teacher",
        data=dataset.teacher_checksum,
        task=spec.task,
        teacher=spec.teacher.model_dump(mode="json"),
        code=_hash_code(spec.teacher.name),
        weights=_hash_weights(spec.teacher.weights),
    )
    return finish(folder, mark, lambda part: _train(spec, dataset, part, progress), "teachers")


def load_teacher(spec: Spec, dataset: Dataset, folder: Path) -> nn.Module:
    """The trained teacher, in inference mode and laid out for images with channels last.

    Args:
        spec: What built it.
        dataset: What it was trained on.
        folder: Its finished stage.
    """
    teacher = _build(spec, dataset)
    teacher.load_state_dict(read_tensors(folder / "weights.safetensors")[0])
    lay_channels_last(teacher)
    return teacher.eval()


def _build(spec: Spec, dataset: Dataset) -> nn.Module:
    teacher = spec.teacher
    return build_teacher(
        teacher.name,
        teacher.arguments,
        dataset.image_shape,
        len(dataset.classes),
        teacher.seed,
        per_pixel=dataset.train.labels.ndim > 1,
    )


def _train(spec: Spec, dataset: Dataset, part: Path, progress: Progress) -> dict[str, Any]:
    teacher = _build(spec, dataset)
    task = TASKS[spec.task](spec.teacher.training.label_smoothing)
    lesson = Lesson(
        Objective(task),
        dataset.train,
        dataset.validation,
        spec.teacher.training,
        spec.teacher.seed,
        "teacher",
    )
    if spec.teacher.weights:
        history = _load(teacher, spec.teacher.weights, lesson)
    else:
        history = train(teacher, lesson, part / "checkpoint.safetensors", progress)
    logits = predict(teacher, dataset.test.images)
    keep_evidence(part, teacher, history, logits, dataset.test)
    return {
        "name": spec.teacher.name,
        **task.measure(logits, dataset.test.labels),
        "parameters": count_parameters(teacher),
        "epochs": history[-1]["epoch"],
        "seconds": round(sum(row["seconds"] for row in history), 2),
    }


def _load(teacher: nn.Module, weights: Path, lesson: Lesson) -> list[dict[str, Any]]:
    load_weights(teacher, weights.expanduser())
    teacher.to(choose_device(lesson.settings.device)).eval()
    return [{"epoch": 0, **validate(teacher, lesson), "seconds": 0.0}]


def _hash_weights(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return hashlib.sha256(path.expanduser().read_bytes()).hexdigest()
    except OSError as error:
        raise ArtefactError(
            f"cannot read teacher.weights {path}: {error.strerror or error}; "
            "name a safetensors file, or leave teacher.weights out to train the teacher"
        ) from None


def _hash_code(name: str) -> str:
    # A teacher of the user's own is another teacher once its code has changed.
    if name in BUILT_IN or ":" not in name:
        return ""
    try:
        source = importlib.import_module(name.partition(":")[0]).__file__
    except (ImportError, RuntimeError):
        return ""  # build_teacher says what is wrong with it
    return hashlib.sha256(Path(source).read_bytes()).hexdigest() if source else ""
