"""Stage ``alignment``: the teacher's kernel with which that of every student is compared."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from hybridonn.core.files import read_tensors, write_tensors
from hybridonn.core.random import generator_of
from hybridonn.data.batches import to_scene
from hybridonn.data.dataset import Dataset
from hybridonn.distillation.training import choose_device
from hybridonn.pipeline.stage import Context, Stage
from hybridonn.pipeline.stage_folder import Finished
from hybridonn.pipeline.stages.teacher import BUILT_FROM, TEACHER, load_teacher
from hybridonn.spec import Spec, narrow
from hybridonn.tangent import ntk
from hybridonn.tasks.task import make_task

ALIGNED = 128  # held-out images on which the alignment of student and teacher is watched
ALIGNED_BY_SIGNS = 16  # so many where each costs a backward pass for every sign

# What the compared kernel depends on beside the network.
COMPARED_BY = ("task", "distillation.tangent.probes")


def load_aligned(alignment: Finished) -> Tensor:
    """The teacher's kernel on the first validation images, (n, n)."""
    return read_tensors(alignment.folder / "alignment.safetensors")[0]["aligned"]


def watched_kernel(network: nn.Module, spec: Spec, dataset: Dataset) -> Tensor:
    """A network's whole tangent kernel on the first validation images, (n, n).

    Where the task sums over the outputs with random signs, every network gets the same.
    """
    probes = count_probes(spec)
    scene = to_scene(dataset.validation.images[: ALIGNED if probes is None else ALIGNED_BY_SIGNS])
    device = next(network.parameters()).device
    signs = generator_of("watched signs")
    return ntk(network, scene.to(device), probes=probes, generator=signs).detach()


def count_probes(spec: Spec) -> int | None:
    """Random sign probes that stand for all outputs; None: the kernel is exact."""
    return make_task(spec.task).contraction(spec.distillation.tangent.probes)


def _inputs(spec: Spec) -> Spec:
    return narrow(spec, *BUILT_FROM, *COMPARED_BY, "training.device")


def _run(context: Context) -> dict[str, Any]:
    spec, dataset = context.spec, context.dataset
    teacher = load_teacher(spec, dataset, context.need(TEACHER).folder)
    teacher = teacher.to(choose_device(spec.training.device))
    kernel = watched_kernel(teacher, spec, dataset)
    write_tensors(context.part / "alignment.safetensors", {"aligned": kernel})
    return {}


ALIGNMENT = Stage("alignment", _inputs, _run, needs=(TEACHER,), data="teacher", shared="alignments")
