"""Networks of one strategy: designed of trained kernels, or trained through the wave optics."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from hybridonn.core.errors import SpecError
from hybridonn.core.files import read_arrays, write_arrays
from hybridonn.core.parts import hold
from hybridonn.core.progress import Progress
from hybridonn.data.batches import to_scene
from hybridonn.data.dataset import Dataset
from hybridonn.distillation.class_weights import make_trained_task
from hybridonn.distillation.loss import Objective
from hybridonn.distillation.methods import needs_teacher
from hybridonn.distillation.training import (
    TrainingSetup,
    fitting_images,
    predict,
    steps_an_epoch,
    train,
)
from hybridonn.networks.frontends.end_to_end import EndToEndMetasurface, keep_blocks
from hybridonn.networks.frontends.metasurface import MetasurfaceFrontend
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.networks.student import build_student
from hybridonn.optics.meta_atoms.pillar_table import tabulate
from hybridonn.optics.metasurface.image_error import choose_scenes
from hybridonn.optics.metasurface.inverse_design import design
from hybridonn.optics.metasurface.lens_start import start_as_lens
from hybridonn.optics.metasurface.sub_optic import measure_psf
from hybridonn.pipeline.chip import Chip, count_at_once, in_branches, plan_chip, settings_of
from hybridonn.pipeline.stage_folder import Finished
from hybridonn.pipeline.stages.metasurface import (
    divide_kernels,
    draw_kernel_seeds,
    load_student,
    restore_gains,
)
from hybridonn.pipeline.stages.teacher import TEACHER, find_teacher_bound
from hybridonn.pipeline.stages.teacher_targets import TEACHER_TARGETS, load_targets
from hybridonn.spec import Spec, Training
from hybridonn.studies.shared_teacher import SharedTeacher
from hybridonn.tasks.task import make_task

MOST_NUMBERS = 2**27  # of the images of a batch
MOST_KERNELS = 8  # designed together: the images of scenes behind them take more than their fields


@dataclass(frozen=True)
class Started:
    """A network with widths of pillars in front of it.

    Attributes:
        network: Optics and backend.
        chip: Geometry, library and targets of its kernels.
        widths_m: (K, 2, cells, cells).
        psfs: (K, 2, C, P, P).
        gains: (K, 2, C).
        seconds: What it took until here.
        evaluations: PSF evaluations of each sub-optic until here.
    """

    network: HybridNetwork
    chip: Chip
    widths_m: Tensor
    psfs: Tensor
    gains: Tensor
    seconds: float
    evaluations: int


def _start_designed(shared: SharedTeacher, spec: Spec, steps: int, progress: Progress) -> Started:
    """A trained student behind the metasurface that is designed of its kernels in some steps."""
    trained = _train_student(shared, spec, progress)
    network = load_student(spec, shared.dataset, trained)
    settings = settings_of(spec).model_copy(update={"steps": steps})
    stated = spec.model_copy(
        update={"optics": spec.optics.model_copy(update={"metasurface": settings})}
    )
    kernels = network.frontend.sensor_kernels()
    chip = plan_chip(stated, kernels, shared.dataset.image_shape)
    scenes = _choose_scenes(shared.dataset, settings.seed)
    path = shared.folder / "designs" / f"{spec.seed}-{steps}.npz"
    path.parent.mkdir(exist_ok=True)
    with hold(path.with_name(f".{path.stem}.lock"), wait=True):
        if not path.is_file():
            begun = perf_counter()
            widths_m = _design(chip, scenes, settings.seed, settings.memory_gb)
            taken = perf_counter() - begun
            write_arrays(path, widths=widths_m.numpy(), seconds=taken)
        arrays = read_arrays(path)
    widths_m = torch.from_numpy(arrays["widths"])
    psfs = _measure_psfs(chip, widths_m, settings.memory_gb)
    gains = restore_gains(chip, psfs, scenes)
    rounds = chip.design_context.recipe.rounds_before_steps
    seconds = trained.results["seconds"] + float(arrays["seconds"])
    _put(network, spec, chip, psfs, gains)
    return Started(network, chip, widths_m, psfs, gains, seconds, rounds + steps)


def _start_kernels_first(
    shared: SharedTeacher, spec: Spec, epochs: int, progress: Progress
) -> Started:
    steps = count_design_steps(spec, shared.dataset, epochs)
    return _start_designed(shared, spec, steps, progress)


def _start_end_to_end(
    shared: SharedTeacher, spec: Spec, epochs: int, progress: Progress
) -> Started:
    return _start_designed(shared, spec, settings_of(spec).steps, progress)


def _start_lens(shared: SharedTeacher, spec: Spec, epochs: int, progress: Progress) -> Started:
    """An untrained student behind lenses, whose gains give images as strong as its kernels do."""
    begun, dataset = perf_counter(), shared.dataset
    network = build_student(
        spec.student, dataset.image_shape, len(dataset.classes), spec.seed, spec.optics, spec.task
    )
    chip = plan_chip(spec, network.frontend.sensor_kernels(), dataset.image_shape)
    settings, scenes = settings_of(spec), _choose_scenes(dataset, settings_of(spec).seed)
    widths_m = start_as_lens(spec.student.kernels, chip.design_context, spec.seed)
    psfs = _measure_psfs(chip, widths_m, settings.memory_gb)
    with torch.no_grad():
        wanted = _measure_strengths(network, scenes)
        _put(network, spec, chip, psfs, psfs.new_ones(psfs.shape[:3]))
        strengths = wanted / _measure_strengths(network, scenes).clamp_min(1e-30)
    gains = strengths[:, None, None].expand(psfs.shape[:3]).contiguous()
    _put(network, spec, chip, psfs, gains)
    return Started(network, chip, widths_m, psfs, gains, perf_counter() - begun, 0)


START = {
    "kernels_first": _start_kernels_first,
    "refit": _start_kernels_first,
    "lens": _start_lens,
    "lens_cropped": _start_lens,
    "end_to_end": _start_end_to_end,
}


def _train_student(shared: SharedTeacher, spec: Spec, progress: Progress) -> Finished:
    """The student of ideal kernels of a seed, which is trained once."""
    (shared.folder / "students").mkdir(exist_ok=True)
    with hold(shared.folder / "students" / f".{spec.seed}.lock", wait=True):
        return shared.train(spec, f"{spec.seed}", progress)


def train_optics(
    shared: SharedTeacher,
    spec: Spec,
    start: Started,
    epochs: int,
    variant: str,
    progress: Progress,
) -> Started:
    """Train widths, gains and backend together through the wave optics, for so many epochs."""
    settings, context = settings_of(spec), start.chip.design_context
    cropped = variant == "lens_cropped"
    optics = EndToEndMetasurface(
        *(start.widths_m, context.metasurface, context.library, context.limits),
        *(start.chip.window, start.chip.kernel_size, spec.student.stride, start.gains),
        at_once=2 * count_at_once(start.chip, settings.memory_gb),
        kept=_keep_blocks(start.chip) if cropped else None,
    )
    start.network.frontend = in_branches(optics, start.chip.branches)
    train_network(shared, spec, start.network, variant, epochs, progress)
    widths_m, gains = optics.widths_m().cpu(), optics.final_gains().cpu()
    psfs = _measure_psfs(start.chip, widths_m, settings.memory_gb)
    _put(start.network.cpu(), spec, start.chip, psfs, gains)
    return replace(start, widths_m=widths_m, psfs=psfs, gains=gains)


def train_network(
    shared: SharedTeacher,
    spec: Spec,
    network: HybridNetwork,
    variant: str,
    epochs: int,
    progress: Progress,
) -> None:
    """Train what trains of a network on the objective of the spec.

    Args:
        shared: The teacher.
        spec: With the seed.
        network: Changed in place, in inference mode afterwards.
        variant: Which strategy.
        epochs: How long.
        progress: Shows how far it is.
    """
    dataset, method = shared.dataset, spec.distillation.method
    targets = teacher_bound = None
    if needs_teacher(method):
        teacher, stored = (shared.done[stage.name] for stage in (TEACHER, TEACHER_TARGETS))
        targets = load_targets(spec, dataset, teacher, stored)
        teacher_bound = find_teacher_bound(teacher.folder, dataset)
    labels = dataset.student_train.labels
    setup = TrainingSetup(
        Objective(
            make_trained_task(spec.task, spec.training, labels, len(dataset.classes)),
            spec.distillation,
            targets,
        ),
        dataset.student_train,
        dataset.validation,
        choose_training(spec, variant, epochs),
        spec.seed,
        f"{variant}, {epochs} epochs, seed {spec.seed}",
        teacher_bound=teacher_bound,
    )
    place = shared.folder / "checkpoints"
    place.mkdir(exist_ok=True)
    path = place / f"{variant}-{epochs}-{spec.seed}.safetensors"
    path.unlink(missing_ok=True)  # of a killed run: its seconds would be those of the rest
    train(network, setup, path, progress)
    path.unlink(missing_ok=True)
    network.eval()


def choose_training(spec: Spec, variant: str, epochs: int) -> Training:
    """The settings of the spec's training, with the epochs of the budget.

    What begins trained goes on at ``optics.metasurface.end_to_end_learning_rate``; weights decay
    only where no widths train, since decay would pull every pillar to the narrowest.
    """
    changed: dict[str, Any] = {"epochs": epochs}
    if variant in ("refit", "end_to_end"):
        changed["learning_rate"] = settings_of(spec).end_to_end_learning_rate
    if variant != "refit":
        changed["weight_decay"] = 0.0
    return spec.training.model_copy(update=changed)


def _design(chip: Chip, scenes: Tensor, seed: int, memory_gb: float) -> Tensor:
    """Widths of the sub-optics of all kernels, (K, 2, cells, cells)."""
    at_once = min(MOST_KERNELS, count_at_once(chip, memory_gb))
    found = []
    for branch, some in divide_kernels(chip, at_once):
        own = chip.own_targets(branch, slice(some.start, some.stop))
        seeds = draw_kernel_seeds(seed, some)
        found.append(design(own, chip.design_context, seeds, window=chip.window, scenes=scenes))
    return torch.cat(found)


@torch.no_grad()
def _measure_psfs(chip: Chip, widths_m: Tensor, memory_gb: float) -> Tensor:
    """(K, 2, C, P, P) of widths that were put on the process's grid, many sub-optics at once."""
    context = chip.design_context
    table, geometry = tabulate(context.library), context.metasurface
    propagator = geometry.propagator(chip.window)
    parts = widths_m.flatten(0, 1).split(2 * count_at_once(chip, memory_gb))
    psfs = [
        measure_psf(table.transmit(context.limits.fit(part)), geometry, propagator)
        for part in parts
    ]
    return torch.cat(psfs).unflatten(0, widths_m.shape[:2])


def _choose_scenes(dataset: Dataset, seed: int) -> Tensor:
    return to_scene(choose_scenes(dataset.student_train.images, seed))


def _measure_strengths(network: HybridNetwork, scenes: Tensor) -> Tensor:
    """Standard deviation of the images behind each kernel, (K,)."""
    branches = network.frontend(scenes)
    return torch.cat([one.transpose(0, 1).flatten(1).std(1) for one in branches])


def _put(network: HybridNetwork, spec: Spec, chip: Chip, psfs: Tensor, gains: Tensor) -> None:
    """Put simulated optics in front of a backend."""
    optics = MetasurfaceFrontend(psfs, chip.kernel_size, spec.student.stride, gains)
    network.frontend = in_branches(optics, chip.branches)


def _keep_blocks(chip: Chip) -> Tensor:
    sizes = [
        branch.size
        for branch in chip.branches
        for _ in range(branch.kernels.start, branch.kernels.stop)
    ]
    return keep_blocks(sizes, chip.window)


def score(dataset: Dataset, spec: Spec, started: Started) -> dict[str, float]:
    """The metric on the test images, and what it would be if PSFs ended with their kernels."""
    task, network = make_task(spec.task), started.network
    images = dataset.test.images
    each = started.psfs[..., 0, 0].numel() * images[0, 0].numel()
    at_once = max(1, min(fitting_images(images), MOST_NUMBERS // each))
    found = {}
    for name, psfs in (("cropped_", started.psfs * _keep_blocks(started.chip)), ("", started.psfs)):
        _put(network, spec, started.chip, psfs, started.gains)
        logits = predict(network.eval(), images, at_once)
        found[f"{name}{task.metric}"] = task.measure(logits, dataset.test.labels)[task.metric]
    return found


def count_design_steps(spec: Spec, dataset: Dataset, epochs: int) -> int:
    """Gradient steps of a design whose PSF evaluations are those of some epochs end to end.

    Raises:
        SpecError: The rounds before its steps alone take more.
    """
    settings, steps = settings_of(spec), epochs * count_steps(spec, dataset)
    before = settings.start_rounds if settings.start == "target" else 0
    if steps <= before:
        raise SpecError(
            f"--epochs {epochs} evaluates each PSF {steps} times, but the rounds before a design's "
            f"steps, optics.metasurface.start_rounds, take {before}; give more epochs"
        )
    return steps - before


def count_steps(spec: Spec, dataset: Dataset) -> int:
    """Steps of an epoch, each with one evaluation of every PSF."""
    objective = Objective(make_task(spec.task))
    train_set, held = dataset.student_train, dataset.validation
    return steps_an_epoch(TrainingSetup(objective, train_set, held, spec.training, 0, ""))
