"""Stage ``knowledge``: what every student asks of the teacher, answered once for the data set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hybridonn.data.batches import to_scene
from hybridonn.data.dataset import Dataset, ImageSet
from hybridonn.distillation.knowledge import (
    Knowledge,
    LiveKnowledge,
    StoredKnowledge,
    teacher_features,
    teacher_kernel,
)
from hybridonn.distillation.tasks import TASKS
from hybridonn.distillation.training import choose_device, predict
from hybridonn.distillation.views import count_views, is_augmented, make_view
from hybridonn.files import read_tensors, write_tensors
from hybridonn.networks.seeding import generator_of
from hybridonn.pipeline.stage import Finished, fingerprint, finish
from hybridonn.pipeline.teacher import load_teacher
from hybridonn.progress import Progress
from hybridonn.spec import Spec
from hybridonn.tangent import ntk

GRAM_IMAGES = 4096  # up to here the exact kernel of all images is kept: 64 MB in float32
SKETCH_WIDTH = 512  # beyond, so many tangent features an image: 110 MB for 54,000 in float32
ALIGNED = 128  # held-out images on which the alignment of student and teacher is watched
ALIGNED_BY_SIGNS = 16  # so many where each costs a backward pass for every sign


def gather_knowledge(
    spec: Spec, dataset: Dataset, teacher: Finished, folder: Path, progress: Progress
) -> Finished:
    """Store the teacher's logits and tangent kernel on the student's training images.

    With fixed views, on every view of every image; with live augmentation,
    nothing of the training images. Also its kernel on a few validation images,
    on which alignment is watched.
    """
    views = count_views(spec.training)
    kernel = spec.distillation.method == "ntkd" and views is not None
    changed = views is not None and is_augmented(spec.training)
    mark = fingerprint(
        stage="knowledge",
        data=dataset.checksum,
        teacher=teacher.fingerprint,
        kernel=kernel,
        layers=spec.distillation.tangent.teacher_layers if kernel else None,
        probes=_probes(spec),
        views=views,
        augmentation=spec.training.augmentation.model_dump() if changed else None,
        sizes=(GRAM_IMAGES, SKETCH_WIDTH, ALIGNED, ALIGNED_BY_SIGNS),
    )
    work = lambda part: _ask(spec, dataset, teacher, kernel, part, progress)  # noqa: E731
    return finish(folder, mark, work, "knowledge")


def load_knowledge(
    spec: Spec, dataset: Dataset, teacher: Finished, knowledge: Finished
) -> Knowledge:
    """What the objective asks: stored answers, or a live teacher where images are augmented."""
    device = choose_device(spec.training.device)
    if count_views(spec.training) is None:
        network = load_teacher(spec, dataset, teacher.folder).to(device)
        return LiveKnowledge(network, _probes(spec), spec.distillation.tangent.teacher_layers)
    tensors, _ = read_tensors(knowledge.folder / "knowledge.safetensors")
    stored = {name: value.to(device) for name, value in tensors.items() if name != "aligned"}
    return StoredKnowledge(**stored)


def load_aligned(knowledge: Finished) -> torch.Tensor:
    """The teacher's kernel on the first validation images, (n, n)."""
    return read_tensors(knowledge.folder / "knowledge.safetensors")[0]["aligned"]


def watched_kernel(network: nn.Module, spec: Spec, dataset: Dataset) -> torch.Tensor:
    """A network's whole tangent kernel on the first validation images, (n, n).

    Where the task sums over the outputs with random signs, every network gets the same.
    """
    count = ALIGNED if _probes(spec) is None else ALIGNED_BY_SIGNS
    scene = to_scene(dataset.validation.images[:count])
    device = next(network.parameters()).device
    signs = generator_of("watched signs")
    return ntk(network, scene.to(device), probes=_probes(spec), generator=signs).detach()


def _ask(
    spec: Spec,
    dataset: Dataset,
    finished: Finished,
    kernel: bool,
    part: Path,
    progress: Progress,
) -> dict[str, Any]:
    teacher = load_teacher(spec, dataset, finished.folder)
    teacher = teacher.to(choose_device(spec.training.device))
    answers = {"aligned": watched_kernel(teacher, spec, dataset)}
    views, images = count_views(spec.training), 0
    if views:
        answers["table"] = torch.cat([_table(teacher, view) for view in _look(spec, dataset)])
        images = len(answers["table"])
    form = "none"
    if kernel:
        # The exact products of a network that answers a pixel cost minutes, its sketch seconds.
        exact = images <= GRAM_IMAGES and views == 1 and _probes(spec) is None
        form = "gram" if exact else "sketch"
        find = _gram if form == "gram" else _sketch
        answers[form] = find(teacher, spec, dataset, progress)
    write_tensors(part / "knowledge.safetensors", answers)
    return {"images": images, "kernel": form}


def _table(teacher: nn.Module, view: ImageSet) -> torch.Tensor:
    logits = predict(teacher, view.images)
    return logits if logits.ndim == 2 else logits.half()  # a logit a pixel: half the memory


def _gram(teacher: nn.Module, spec: Spec, dataset: Dataset, progress: Progress) -> torch.Tensor:
    scene = to_scene(dataset.student_train.images).to(next(teacher.parameters()).device)
    layers = spec.distillation.tangent.teacher_layers
    return teacher_kernel(teacher, scene, layers, None)


def _sketch(teacher: nn.Module, spec: Spec, dataset: Dataset, progress: Progress) -> torch.Tensor:
    device = next(teacher.parameters()).device
    layers, probes = spec.distillation.tangent.teacher_layers, _probes(spec)
    rows = []
    total = len(dataset.student_train) * (count_views(spec.training) or 1)
    with progress.bar("teacher's tangents", total) as advance:
        for view in _look(spec, dataset):
            for some in view.images.split(128):
                scene = to_scene(some).to(device)
                rows.append(teacher_features(teacher, scene, SKETCH_WIDTH, layers, probes))
                advance(len(some))
    return torch.cat(rows)


def _look(spec: Spec, dataset: Dataset) -> Iterator[ImageSet]:
    """The student's training images as it will see them, a view at a time."""
    if not is_augmented(spec.training):
        yield dataset.student_train
        return
    for view in range(count_views(spec.training) or 0):
        yield make_view(dataset.student_train, spec.training.augmentation, view)


def _probes(spec: Spec) -> int | None:
    return TASKS[spec.task]().contraction(spec.distillation.tangent.probes)
