"""Stage ``metasurface``: from trained kernels to pillars, and what the network makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from hybridonn import spec as specs
from hybridonn.core.errors import ArtefactError
from hybridonn.core.files import read_arrays, write_arrays, write_table, write_tensors
from hybridonn.core.progress import Advance, Progress
from hybridonn.core.random import seed_of
from hybridonn.data.batches import to_scene
from hybridonn.data.dataset import Dataset
from hybridonn.distillation.training import (
    choose_device,
    fitting_images,
    predict,
)
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.networks.student import build_student
from hybridonn.optics.fabrication.crosstalk import count_reach, leak_light, measure_crosstalk
from hybridonn.optics.metasurface.image_error import PictureLoss, choose_scenes
from hybridonn.optics.metasurface.inverse_design import NM, design
from hybridonn.optics.metasurface.sub_optic_numbers import Optics, measure_optics
from hybridonn.optics.metasurface.targets import (
    crop_centre,
    kernel_errors,
    whole_kernel_errors,
)
from hybridonn.pipeline.chip import (
    Chip,
    Readout,
    count_at_once,
    plan_chip,
    put_in,
    settings_of,
)
from hybridonn.pipeline.end_to_end import train_optics
from hybridonn.pipeline.stage import Context, Stage
from hybridonn.pipeline.stage_folder import Finished
from hybridonn.pipeline.stages.student import STUDENT, narrow_student
from hybridonn.pipeline.stages.teacher import TEACHER, find_teacher_bound
from hybridonn.pipeline.stages.teacher_targets import TEACHER_TARGETS, load_targets
from hybridonn.pipeline.weights import put_weights
from hybridonn.tasks.task import make_task

KERNELS_FIRST = ("kernel_error", "psf_residual", "efficiency")
MOST_NUMBERS = 2**27  # of the images behind all sub-optics in all colours: half a gigabyte
SHOWN = 4  # kernels whose point spread functions are kept in every detail for the report


def _inputs(spec: specs.Spec) -> specs.Spec:
    return narrow_student(spec, "optics")


def _run(context: Context) -> dict[str, Any]:
    """Design the metasurface of a trained student and see what it costs in accuracy.

    Interrupted, it goes on with the kernel at which it was, to the same result. The artefacts are
    ``widths.npz``, ``library.csv``, ``psf.npz`` and ``sub_optics.csv``.

    Raises:
        OpticsError: The optics cannot be made or simulated.
        SpecError: The kernels do not fit on the metasurface.
    """
    spec, dataset, part = context.spec, context.dataset, context.part
    student = context.need(STUDENT)
    network = load_student(spec, dataset, student)
    chip = plan_chip(spec, network.frontend.sensor_kernels(), dataset.image_shape)
    scenes = to_scene(choose_scenes(dataset.student_train.images, settings_of(spec).seed))
    widths_m = _design_all(spec, chip, scenes, part, context.progress)
    optics = _measure_all(chip, widths_m, dataset.image_shape)
    gains = restore_gains(chip, optics.psfs, scenes)
    results = _describe(chip, optics, gains, dataset.image_shape, part)
    answers = _classify(network, spec, chip, optics, gains, dataset)
    metric = make_task(spec.task).metric
    results |= answers | {f"ideal_{metric}": student.results[metric]}
    if spec.optics.strategy == "end-to-end":
        teacher = context.need(TEACHER)
        targets = load_targets(spec, dataset, teacher, context.need(TEACHER_TARGETS))
        learnt = targets, find_teacher_bound(teacher.folder, dataset)
        widths_m = train_optics(
            network, widths_m, gains, spec, dataset, chip, learnt, part, context.progress
        )
        optics = _measure_all(chip, widths_m, dataset.image_shape)
        first = {f"kernels_first_{key}": results[key] for key in (*KERNELS_FIRST, metric)}
        results |= first | _describe(chip, optics, gains, dataset.image_shape, part)
        results |= _classify(network, spec, chip, optics, gains, dataset)
        write_tensors(part / "backend.safetensors", network.backend.state_dict())
    _write(part, spec, chip, widths_m, optics, gains)
    return results | _describe_pillars(chip, widths_m) | {"strategy": spec.optics.strategy}


def _classify(
    network: HybridNetwork,
    spec: specs.Spec,
    chip: Chip,
    optics: Optics,
    gains: Tensor,
    dataset: Dataset,
) -> dict[str, float]:
    """The metric by itself, with the neighbours' light, and with the camera of the spec."""
    task = make_task(spec.task)
    leaked = leak_light(optics.landed, chip.layout, chip.design_context.metasurface, chip.window)
    each = optics.psfs[..., 0, 0].numel() * dataset.test.images[0, 0].numel()
    at_once = max(1, min(fitting_images(dataset.test.images), MOST_NUMBERS // each))

    def measure(psfs: Tensor, camera: bool) -> float:
        put_in(network, spec, chip, psfs, gains, camera)
        logits = predict(network, dataset.test.images, at_once)
        return task.measure(logits, dataset.test.labels)[task.metric]

    return {
        f"crosstalk_{task.metric}": measure(optics.psfs + leaked, camera=False),
        f"camera_{task.metric}": measure(optics.psfs, camera=True),
        # Last: end-to-end training goes on from the optics without camera.
        task.metric: measure(optics.psfs, camera=False),
    }


class ImageFormat(Protocol):
    """What a network must know of the images: a data set says it, and the record of a run."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the outputs."""
        ...

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape (C, H, W) of an image."""
        ...


def load_student(spec: specs.Spec, images: ImageFormat, student: Finished) -> HybridNetwork:
    """The trained student with the optics as designed, in inference mode."""
    network = build_student(
        spec.student, images.image_shape, len(images.classes), spec.seed, spec.optics, spec.task
    )
    put_weights(network, student.folder / "weights.safetensors")
    return network.eval()


def _design_all(
    spec: specs.Spec, chip: Chip, scenes: Tensor, part: Path, progress: Progress
) -> Tensor:
    settings, kernels = settings_of(spec), len(chip.targets.parts)
    device = choose_device(spec.training.device)
    recipe = chip.design_context.recipe
    rounds = recipe.rounds_before_steps + recipe.steps
    done: list[np.ndarray] = []
    with progress.bar("metasurface", kernels * rounds) as advance:
        for branch, some in divide_kernels(chip, count_at_once(chip, settings.memory_gb)):
            paths = [part / "checkpoint_kernels" / f"{kernel:04d}.npz" for kernel in some]
            widths = _read_widths(paths, progress)
            if widths:
                advance(len(some) * rounds, "kept")
            else:
                seeds = draw_kernel_seeds(settings.seed, some)
                own = chip.own_targets(branch, slice(some.start, some.stop))
                tell = partial(_tell, advance, len(some))
                found = design(own, chip.design_context, seeds, device, tell, chip.window, scenes)
                widths = list(_to_nm(found))
                for path, one in zip(paths, widths, strict=True):
                    write_arrays(path, widths=one)
            done += widths
    return torch.from_numpy(np.stack(done).astype(np.float32)) * NM


def draw_kernel_seeds(seed: int, kernels: range) -> list[int]:
    """Seeds of the first pillars of some kernels: a kernel's design depends on no other kernel.

    Args:
        seed: Seed of the design, ``optics.metasurface.seed``.
        kernels: Numbers of the kernels.
    """
    return [seed_of("metasurface", seed, kernel) for kernel in kernels]


def _read_widths(paths: list[Path], progress: Progress) -> list[np.ndarray]:
    """What an interrupted design left of some kernels; nothing, if one is not there or damaged."""
    if not all(path.exists() for path in paths):
        return []
    try:
        return [read_arrays(path)["widths"] for path in paths]
    except (ArtefactError, KeyError) as error:
        progress.say(f"{error}; these kernels are designed again")
        return []


def divide_kernels(chip: Chip, at_once: int) -> Iterator[tuple[Readout, range]]:
    """The kernels that are designed together: of one branch, and no more than ``at_once``."""
    for branch in chip.branches:
        stop = branch.kernels.stop
        for first in range(branch.kernels.start, stop, at_once):
            yield branch, range(first, min(first + at_once, stop))


def _tell(advance: Advance, kernels: int, error: float) -> None:
    advance(kernels, f"kernel error {error:.3f}")


def _measure_all(chip: Chip, widths_m: Tensor, image_shape: tuple[int, int, int]) -> Optics:
    metasurface, library = chip.design_context.metasurface, chip.design_context.library
    reach = count_reach(metasurface, chip.layout, max(image_shape[1:]))
    return measure_optics(widths_m, chip.targets, metasurface, library, chip.window, reach)


def restore_gains(chip: Chip, psfs: Tensor, scenes: Tensor) -> Tensor:
    """The gains that bring the images of scenes nearest to those of the kernels, (K, 2, C)."""
    weight = chip.design_context.recipe.picture_weight
    found = []
    for branch in chip.branches:
        for kernel in range(branch.kernels.start, branch.kernels.stop):
            own = slice(kernel, kernel + 1)
            loss = PictureLoss(chip.own_targets(branch, own), chip.window, scenes, weight)
            found.append(loss.gains(psfs[own]))
    return torch.cat(found)


def _describe(
    chip: Chip, optics: Optics, gains: Tensor, image_shape: tuple[int, int, int], part: Path
) -> dict[str, Any]:
    blocks = [
        (*block, gains[branch.kernels])
        for branch, block in zip(chip.branches, chip.blocks(optics.psfs), strict=True)
    ]
    errors_by_branch = [whole_kernel_errors(*block) for block in blocks]
    errors = torch.cat(errors_by_branch)
    by_colour = torch.cat([kernel_errors(*block) for block in blocks])
    efficiency = torch.cat([block.sum((-1, -2)) for block, *_ in blocks])
    crosstalk = _measure_crosstalk(chip, optics, image_shape)
    authors = optics.residuals.nan_to_num(0).square().mean(-1).sqrt()
    rows = [
        {
            "kernel": kernel,
            "part": "positive" if sign == 0 else "negative",
            "binning": branch.binning,
            "kernel_error": float(errors[kernel]),
            "efficiency": float(efficiency[kernel, sign].mean()),
            "authors_loss": float(authors[kernel, sign]),
            "crosstalk": float(crosstalk[kernel, sign]),
        }
        for branch in chip.branches
        for kernel in range(branch.kernels.start, branch.kernels.stop)
        for sign in range(2)
    ]
    write_table(part / "sub_optics.csv", rows)
    found = {
        "kernel_error": float(errors.mean()),
        "kernel_error_worst": float(errors.max()),
        "kernel_error_by_colour": by_colour.nanmean(0).tolist(),
        "psf_residual": optics.residuals.clamp_min(0).sqrt().flatten(0, 1).nanmean(0).tolist(),
        "authors_loss": float(authors.mean()),
        "efficiency": float(efficiency.mean()),
        "efficiency_by_colour": efficiency.mean((0, 1)).tolist(),
        "crosstalk": float(crosstalk.mean()),
        "crosstalk_worst": float(crosstalk.max()),
        "cells": chip.design_context.metasurface.cells,
        "sub_optics": 2 * len(errors),
        "window_pixels": chip.window,
    }
    if len(chip.branches) > 1:
        found["kernel_error_by_branch"] = [float(some.mean()) for some in errors_by_branch]
    return found


def _describe_pillars(chip: Chip, widths_m: Tensor) -> dict[str, Any]:
    """What the chip is made of, in numbers; lengths as a fab states them."""
    geometry, library = chip.design_context.metasurface, chip.design_context.library
    widths_nm = _to_nm(widths_m)
    return {
        "material": library.material,
        "substrate": library.substrate,
        "height_nm": library.height_m / NM,
        "period_nm": library.period_m / NM,
        "cell_nm": geometry.cell_m / NM,
        "narrowest_nm": int(widths_nm[widths_nm > 0].min(initial=int(widths_nm.max()))),
        "widest_nm": int(widths_nm.max()),
        "aperture_mm": geometry.aperture_m * 1e3,
        "distance_mm": geometry.distance_m * 1e3,
        "numerical_aperture": geometry.numerical_aperture,
    }


def _measure_crosstalk(chip: Chip, optics: Optics, image_shape: tuple[int, int, int]) -> Tensor:
    side = min(chip.window, max(image_shape[1:]) // 2 * 2 + 1)
    leaked = leak_light(optics.landed, chip.layout, chip.design_context.metasurface, side)
    return measure_crosstalk(crop_centre(optics.psfs, side), leaked)


def _write(
    part: Path,
    spec: specs.Spec,
    chip: Chip,
    widths_m: Tensor,
    optics: Optics,
    gains: Tensor,
) -> None:
    targets, side = chip.targets, chip.design_context.metasurface.pixel_cells
    shown = _choose_shown(chip)
    margin = (optics.fine.shape[-1] // side - targets.parts.shape[-1]) // 2
    framed = torch.nn.functional.pad(targets.parts[shown], 4 * (margin,))
    fine_target = framed.repeat_interleave(side, -1).repeat_interleave(side, -2)
    counts = [branch.kernels.stop - branch.kernels.start for branch in chip.branches]
    write_arrays(
        part / "widths.npz",
        widths=_to_nm(widths_m),
        cell_pillars=settings_of(spec).cell_pillars,
        period_m=chip.design_context.library.period_m,
    )
    # What the pillars do at the wavelengths of the design: the phases of a width map.
    chip.design_context.library.write_csv(part / "library.csv")
    write_arrays(
        part / "psf.npz",
        psf=optics.psfs.numpy(),
        target=targets.parts.numpy(),
        gains=gains.numpy(),
        shown=np.array(shown),
        sizes=np.repeat([branch.size for branch in chip.branches], counts),
        binnings=np.repeat([branch.binning for branch in chip.branches], counts),
        fine_psf=optics.fine[shown].numpy(),
        fine_target=fine_target.numpy(),
    )


def _choose_shown(chip: Chip) -> list[int]:
    """The first kernel of each branch, then the second of each, and so on."""
    branches = [range(branch.kernels.start, branch.kernels.stop) for branch in chip.branches]
    turns = zip_longest(*branches)
    return [kernel for turn in turns for kernel in turn if kernel is not None][:SHOWN]


def _to_nm(widths_m: Tensor) -> np.ndarray:
    return (widths_m / NM).round().cpu().numpy().astype(np.uint16)


METASURFACE = Stage(
    "metasurface",
    _inputs,
    _run,
    needs=(TEACHER, TEACHER_TARGETS, STUDENT),
    wanted=lambda spec: spec.optics.metasurface is not None,
)
