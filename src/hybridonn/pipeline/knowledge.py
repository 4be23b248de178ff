"""Stage ``knowledge``: what every student asks of the teacher, answered once for the data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from hybridonn.data.batches import to_scene
from hybridonn.data.dataset import Dataset
from hybridonn.distillation.knowledge import Knowledge, LiveKnowledge, StoredKnowledge
from hybridonn.distillation.training import choose_device, predict
from hybridonn.files import read_tensors, write_tensors
from hybridonn.pipeline.stage import Finished, fingerprint, finish
from hybridonn.pipeline.teacher import load_teacher
from hybridonn.progress import Progress
from hybridonn.spec import Spec
from hybridonn.tangent import ntk, tangent_features

GRAM_IMAGES = 4096  # up to here the exact kernel of all images is kept: 64 MB in float32
SKETCH_WIDTH = 512  # beyond, so many tangent features an image: 110 MB for 54,000 in float32
ALIGNED = 128  # held-out images on which the alignment of student and teacher is watched


def gather_knowledge(
    spec: Spec, dataset: Dataset, teacher: Finished, folder: Path, progress: Progress
) -> Finished:
    """Store the teacher's logits and tangent kernel on the student's training images.

    Also its kernel on a few validation images, on which alignment is watched.
    """
    kernel = spec.distillation.method == "ntkd" and _is_fixed(spec)
    mark = fingerprint(
        stage="knowledge",
        data=dataset.checksum,
        teacher=teacher.fingerprint,
        kernel=kernel,
        sizes=(GRAM_IMAGES, SKETCH_WIDTH, ALIGNED),
    )
    work = lambda part: _ask(spec, dataset, teacher, kernel, part, progress)  # noqa: E731
    return finish(folder, mark, work, "knowledge")


def load_knowledge(
    spec: Spec, dataset: Dataset, teacher: Finished, knowledge: Finished
) -> Knowledge:
    """What the objective asks: stored answers, or a live teacher where images are augmented."""
    device = choose_device(spec.training.device)
    if not _is_fixed(spec):
        network = load_teacher(spec, dataset, teacher.folder).to(device)
        return LiveKnowledge(network, spec.distillation.tangent.probes)
    tensors, _ = read_tensors(knowledge.folder / "knowledge.safetensors")
    stored = {name: value.to(device) for name, value in tensors.items() if name != "aligned"}
    return StoredKnowledge(**stored)


def load_aligned(knowledge: Finished) -> torch.Tensor:
    """The teacher's kernel on the first validation images, (n, n)."""
    return read_tensors(knowledge.folder / "knowledge.safetensors")[0]["aligned"]


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
    device = next(teacher.parameters()).device
    images = dataset.student_train.images
    answers = {"table": predict(teacher, images)}
    answers["aligned"] = ntk(teacher, to_scene(dataset.validation.images[:ALIGNED]).to(device))
    form = "none"
    if kernel and len(images) <= GRAM_IMAGES:
        form = "gram"
        answers["gram"] = ntk(teacher, to_scene(images).to(device)).detach()
    elif kernel:
        form = "sketch"
        answers["sketch"] = _sketch(teacher, images, progress)
    write_tensors(part / "knowledge.safetensors", {k: v.detach() for k, v in answers.items()})
    return {"images": len(images), "kernel": form}


def _sketch(teacher: nn.Module, images: torch.Tensor, progress: Progress) -> torch.Tensor:
    # Without oversampling the features of all batches come from one random map.
    device = next(teacher.parameters()).device
    rows = []
    with progress.bar("teacher's tangents", len(images)) as advance:
        for some in images.split(128):
            scene = to_scene(some).to(device)
            rows.append(tangent_features(teacher, scene, SKETCH_WIDTH, oversampling=1).detach())
            advance(len(some))
    return torch.cat(rows)


def _is_fixed(spec: Spec) -> bool:
    return not any(spec.training.augmentation.model_dump().values())
