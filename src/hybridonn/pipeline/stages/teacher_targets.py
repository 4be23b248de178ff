"""Stage ``teacher_targets``: the teacher's logits and tangent kernel, for every student."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from hybridonn.core.files import read_tensors, write_tensors
from hybridonn.core.progress import Progress
from hybridonn.data.batches import to_scene
from hybridonn.data.dataset import Dataset, ImageSet
from hybridonn.distillation.augmentation import count_views, is_augmented, see_view
from hybridonn.distillation.methods import find_stored_for, needs_kernel
from hybridonn.distillation.pixel_memory import PixelMemory
from hybridonn.distillation.precision import halve, mixed_precision
from hybridonn.distillation.teacher_targets import (
    Ask,
    LiveTargets,
    StoredTargets,
    TeacherTargets,
    ask_of_images,
    ask_sketch,
    teacher_kernel,
)
from hybridonn.distillation.training import choose_device, fitting_images
from hybridonn.pipeline.stage import Context, Stage
from hybridonn.pipeline.stage_folder import Finished
from hybridonn.pipeline.stages.alignment import ALIGNED, count_probes
from hybridonn.pipeline.stages.teacher import BUILT_FROM, TEACHER, load_teacher
from hybridonn.spec import Augmentation, Spec, narrow
from hybridonn.tangent import DenseEnd, dense_features, find_dense_end
from hybridonn.tasks.task import Task

GRAM_IMAGES = 4096  # up to here the exact kernel of all images is kept: 64 MB in float32
EXACT_WIDTH = 1024  # in place of a sketch, a dense layer's exact features up to this many
ASKED = 250  # images at a time: their feature maps still fit the cache of a processor
KERNEL_KEYS = ("teacher_layers", "probes")  # what the teacher's kernel depends on

Outputs = tuple[Tensor, ...]  # logits, and features where the kernel is asked for
Collect = Callable[[Ask], dict[str, Tensor]]


def load_targets(
    spec: Spec, dataset: Dataset, teacher: Finished, targets: Finished
) -> TeacherTargets:
    """What the objective asks: stored targets, or a live teacher where images are augmented."""
    device = choose_device(spec.training.device)
    layers = spec.distillation.tangent.teacher_layers
    if count_views(spec.training) is None:
        network = load_teacher(spec, dataset, teacher.folder).to(device)
        return LiveTargets(network, count_probes(spec), layers)
    tensors, _ = read_tensors(targets.folder / "teacher_targets.safetensors")
    stored = StoredTargets(**tensors)
    if _asks_pixels(spec):
        network = load_teacher(spec, dataset, teacher.folder).to(device)
        memory = PixelMemory(network, layers, len(stored.table))
        live = LiveTargets(network, count_probes(spec), layers, memory)
        stored = replace(stored, live=live)
    return stored.to(device)


def _asks_pixels(spec: Spec) -> bool:
    """Whether the kernel is of pixels, which are sampled anew at each step and stored nowhere."""
    asked = needs_kernel(spec.distillation.method)
    return asked and spec.distillation.tangent.contraction == "pixels"


def _inputs(spec: Spec) -> Spec:
    """What the targets depend on; what makes no difference to them has its default."""
    training, distillation = spec.training, spec.distillation
    live = count_views(training) is None
    if live or not is_augmented(training):
        any_changes = Augmentation(flip=live)  # of live ones nothing is stored, whatever they are
        training = training.model_copy(update={"augmentation": any_changes, "views": None})
    kernel = needs_kernel(distillation.method) and not live and not _asks_pixels(spec)
    distillation = distillation.model_copy(update={"method": find_stored_for(kernel)})
    keys = (*BUILT_FROM, "task", "distillation.method")
    keys += tuple(f"training.{name}" for name in ("augmentation", "views", "precision", "device"))
    keys += tuple(f"distillation.tangent.{name}" for name in KERNEL_KEYS if kernel)
    keys += ("training.batch_size",) if training.augmentation.mixes else ()  # who is mixed
    changed = {"training": training, "distillation": distillation}
    return narrow(spec.model_copy(update=changed), *keys)


def _run(context: Context) -> dict[str, Any]:
    """Store the teacher's logits and tangent kernel on the student's training images.

    With fixed views, on every view of every image; with live augmentation, nothing.
    """
    spec, dataset = context.spec, context.dataset
    form: str = "none"
    targets: dict[str, Tensor] = {}
    if count_views(spec.training) is not None:
        teacher = load_teacher(spec, dataset, context.need(TEACHER).folder)
        teacher = teacher.to(choose_device(spec.training.device))
        collect = partial(_collect, teacher, spec, dataset, context.progress)
        form, targets = _find_targets(teacher, spec, dataset, collect)
    write_tensors(context.part / "teacher_targets.safetensors", targets)
    return {"images": len(targets.get("table", ())), "kernel": form}


def _find_targets(
    teacher: nn.Module, spec: Spec, dataset: Dataset, collect: Collect
) -> tuple[str, dict[str, Tensor]]:
    """The form of the kernel, and the targets under the names that they are stored by."""
    if not needs_kernel(spec.distillation.method):
        return "none", collect(_logits)
    layers, probes = spec.distillation.tangent.teacher_layers, count_probes(spec)
    # The exact products of a network that answers a pixel cost minutes, its sketch seconds.
    images = len(dataset.student_train) * (count_views(spec.training) or 1)
    if images <= GRAM_IMAGES and not is_augmented(spec.training) and probes is None:
        return "gram", collect(_logits) | {"gram": _gram(teacher, layers, dataset)}
    end = _find_end(teacher, layers, dataset)
    exact = collect(partial(dense_features, end=end)) if end else {}
    if exact:
        return "features", exact

    ask = ask_sketch(layers, probes)

    def sketch(teacher: nn.Module, scene: Tensor) -> Outputs:
        features = ask(teacher, scene) or ()
        return *_logits(teacher, scene), *features

    return "sketch", collect(sketch)


def _collect(
    teacher: nn.Module, spec: Spec, dataset: Dataset, progress: Progress, ask: Ask
) -> dict[str, Tensor]:
    """What is asked of every view of every image; nothing if one is not answered."""
    device = next(teacher.parameters()).device
    total = len(dataset.student_train) * (count_views(spec.training) or 1)
    batch = min(fitting_images(dataset.student_train.images), ASKED)

    def compact(teacher: nn.Module, scene: Tensor) -> Outputs | None:
        found = ask(teacher, scene)
        return None if found is None else _compact(dataset.task, *found)

    with (
        progress.bar("teacher's targets", total) as advance,
        mixed_precision(spec.training.precision, device, teacher),
    ):
        parts = (view.images for view in _look(spec, dataset))
        columns = ask_of_images(teacher, parts, compact, batch, advance)
    return dict(zip(("table", "features"), columns, strict=False))


@torch.no_grad()
def _logits(teacher: nn.Module, scene: Tensor) -> Outputs:
    return (teacher(scene),)


def _compact(task: Task, logits: Tensor, *features: Tensor) -> Outputs:
    """Logits in the precision that the task needs, features in half precision."""
    return logits.to(task.logit_dtype), *(halve(one) for one in features)


def _find_end(
    teacher: nn.Module, layers: str | tuple[str, ...], dataset: Dataset
) -> DenseEnd | None:
    """The teacher's dense end, where its exact features are no larger than a sketch."""
    device = next(teacher.parameters()).device
    some = to_scene(dataset.validation.images[:ALIGNED]).to(device)
    end = find_dense_end(teacher, some, layers)
    found = dense_features(teacher, some[:1], end) if end else None
    return end if found and found[1].shape[1] <= EXACT_WIDTH else None


def _gram(teacher: nn.Module, layers: str | tuple[str, ...], dataset: Dataset) -> Tensor:
    scene = to_scene(dataset.student_train.images).to(next(teacher.parameters()).device)
    return teacher_kernel(teacher, scene, layers, None)


def _look(spec: Spec, dataset: Dataset) -> Iterator[ImageSet]:
    """The student's training images as it will see them, a view at a time."""
    if not is_augmented(spec.training):
        yield dataset.student_train
        return
    for view in range(count_views(spec.training) or 0):
        yield see_view(dataset.student_train, dataset.task, spec.training, view)[0]


TEACHER_TARGETS = Stage(
    "teacher_targets", _inputs, _run, needs=(TEACHER,), shared="teacher_targets"
)
