"""Stage ``fabricated``: the trained network behind a chip as fabrication leaves it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from hybridonn.compensation.evaluation import compute_logits
from hybridonn.compensation.simulated_chip import SimulatedChip, kernel_error
from hybridonn.core.errors import OpticsError
from hybridonn.core.files import read_arrays, write_arrays
from hybridonn.core.progress import Progress, Silent
from hybridonn.data.indexed import pack_labels
from hybridonn.networks.frontends.measured import MeasuredFrontend
from hybridonn.networks.frontends.metasurface import MetasurfaceFrontend
from hybridonn.networks.frontends.table import FRONTENDS
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.optics.fabrication.chip_errors import ChipErrors
from hybridonn.optics.fabrication.fabricated_psf import DesignedChip, count_steps
from hybridonn.optics.layout.sites import Layout
from hybridonn.optics.metasurface.inverse_design import NM
from hybridonn.optics.sensor import Sensor
from hybridonn.pipeline.artefacts import store
from hybridonn.pipeline.chip import in_branches, list_readouts, load_library, plan_optics
from hybridonn.pipeline.chip_overlays import keep_chip_overlays
from hybridonn.pipeline.from_spec import lay_out_kernels, read_chip_errors, read_plain_sensor
from hybridonn.pipeline.stage import Context, Stage
from hybridonn.pipeline.stage_folder import Finished
from hybridonn.pipeline.stages.layout import PLACED_BY
from hybridonn.pipeline.stages.metasurface import METASURFACE, ImageFormat, load_student
from hybridonn.pipeline.stages.student import STUDENT, narrow_student
from hybridonn.pipeline.weights import put_weights
from hybridonn.spec import Fabrication, Spec
from hybridonn.spec.consistency import name_design
from hybridonn.tasks.task import make_task


def narrow_chip(spec: Spec, *more: str) -> Spec:
    """What a simulated chip depends on, and more keys, of a spec.

    Errors that have nothing to act on in this design are zero.

    Raises:
        OpticsError: ``fabrication`` is not set.
        SpecError: An error is stated that has nothing to act on in this design.
    """
    metasurface = METASURFACE.wanted(spec)
    errors = stated(spec).on(name_design(spec) or "kernels")
    optics = ("optics",) if metasurface else (*PLACED_BY, "optics.sensor")
    changed = spec.model_copy(update={"fabrication": errors})
    return narrow_student(changed, "fabrication", *optics, *more)


def _run(context: Context) -> dict[str, Any]:
    """Fabricate one simulated chip and let the network answer the test images behind it."""
    spec, dataset = context.spec, context.dataset
    student, metasurface = context.need(STUDENT), context.find(METASURFACE)
    errors = stated(spec)
    chip = make_chip(spec, dataset, student, metasurface, errors, context.progress)
    with context.progress.bar("simulated chip", 1) as advance:
        logits = compute_logits(chip.student.backend, chip.capture(dataset.test, "test"))
        advance(1)
    task = make_task(spec.task)
    _write(context.part, chip)
    arrays = pack_labels(dataset.test.labels) | store(task, logits)
    write_arrays(context.part / "predictions.npz", **arrays)
    everything = torch.arange(len(dataset.test))
    keep_chip_overlays(context.part, dataset, student, everything, logits)
    score = task.measure(logits, dataset.test.labels)
    found = score | {
        f"ideal_{task.metric}": student.results[task.metric],
        "drop": student.results[task.metric] - score[task.metric],
        "kernel_error": kernel_error(chip),
        "preset": errors.preset,
        "chip": errors.seed,
    }
    if metasurface is not None:
        found[f"designed_{task.metric}"] = metasurface.results[task.metric]
    return found


def stated(spec: Spec) -> Fabrication:
    """The errors that a spec states.

    Raises:
        OpticsError: It states none.
    """
    if spec.fabrication is None:
        raise OpticsError(
            "fabrication is not set, so no chip is simulated; "
            "set fabrication.preset to paper-mnist, for example"
        )
    return spec.fabrication


def place_kernels(spec: Spec) -> Layout:
    """Where the sub-optics of a student's kernels lie: it decides who is whose neighbour.

    Raises:
        SpecError: They do not fit.
    """
    return lay_out_kernels(spec.optics, spec.student.kernels)


def make_chip(
    spec: Spec,
    images: ImageFormat,
    student: Finished,
    metasurface: Finished | None,
    errors: Fabrication,
    progress: Progress | None = None,
) -> SimulatedChip:
    """Fabricate a chip of a trained student's optics, ideal or designed as a metasurface.

    On a metasurface pillars, light and distance get their errors first and are carried to the
    sensor; what the sub-optics as a whole have, and the camera, comes on top.

    Args:
        spec: The spec of the run.
        images: Format of the images of the run.
        student: The finished stage ``student``.
        metasurface: The finished stage ``metasurface``; None: the kernels themselves are made.
        errors: Magnitudes and the seed.
        progress: Shows how far the simulation of the pillars is.

    Raises:
        SpecError: An error is stated that has nothing to act on in this design, or the kernels
            do not fit on the chip.
        OpticsError: The stage ``metasurface`` is of another design than the spec's.
    """
    made_of = FRONTENDS[spec.frontend].design or "kernels"
    errors = errors.on("metasurface" if metasurface is not None else made_of)
    si = read_chip_errors(errors)
    network = load_student(spec, images, student)
    layout = place_kernels(spec)
    if metasurface is None:
        frontend = network.frontend.fabricate(si, layout)
    else:
        optics = _read_optics(spec, images.image_shape, metasurface, si)
        whole = _fabricate(optics, si, layout, progress or Silent())
        frontend = in_branches(whole, list_readouts(spec.student))
        take_backend(network, metasurface)
    camera = _camera(spec, images.image_shape[0], errors)
    return SimulatedChip(network, frontend, camera, errors.seed)


def _read_optics(
    spec: Spec, image_shape: tuple[int, int, int], metasurface: Finished, errors: ChipErrors
) -> MetasurfaceFrontend:
    """The designed sub-optics, with their pillars where errors of this chip act on them."""
    arrays = read_arrays(metasurface.folder / "psf.npz")
    psfs, gains = (torch.from_numpy(arrays[name]).float() for name in ("psf", "gains"))
    pillars = errors.list_acting_on("pillars", "light")
    design = _read_chip(spec, image_shape, metasurface) if pillars else None
    size = max(branch.size for branch in list_readouts(spec.student))
    return MetasurfaceFrontend(psfs, size, spec.student.stride, gains, design=design)


def _fabricate(
    optics: MetasurfaceFrontend, errors: ChipErrors, layout: Layout, progress: Progress
) -> MeasuredFrontend:
    if optics.design is None:
        return optics.fabricate(errors, layout)
    with progress.bar("pillars as fabricated", count_steps(optics.design, errors)) as advance:
        return optics.fabricate(errors, layout, advance)


def _read_chip(
    spec: Spec, image_shape: tuple[int, int, int], metasurface: Finished
) -> DesignedChip:
    plan, path = plan_optics(spec, image_shape), metasurface.folder / "widths.npz"
    widths_m = torch.from_numpy(read_arrays(path)["widths"].astype("float32")) * NM
    geometry, library = plan.design_context.metasurface, load_library(spec)
    wanted = (spec.student.kernels, 2, geometry.cells, geometry.cells)
    if widths_m.shape != wanted:
        raise OpticsError(
            f"{path} holds widths of shape {tuple(widths_m.shape)}, but the spec's metasurface "
            f"has {wanted}; use the optics of the run's own spec, or run it again"
        )
    # All wavelengths of the pillars that the design was simulated with.
    steady = torch.isin(library.widths_m, plan.design_context.library.widths_m)
    library = replace(
        library, widths_m=library.widths_m[steady], transmission=library.transmission[:, steady]
    )
    return DesignedChip(widths_m, geometry, library, plan.layout, plan.window)


def take_backend(network: HybridNetwork, metasurface: Finished) -> None:
    """Use the backend that end-to-end training fitted to the optics, where there is one."""
    path = metasurface.folder / "backend.safetensors"
    if path.is_file():
        put_weights(network.backend, path)


def _camera(spec: Spec, colours: int, errors: Fabrication) -> Sensor | None:
    if not (errors.camera and spec.optics.sensor.noise):
        return None
    # One camera pixel a pixel of the image: a group of them would be less noisy.
    return read_plain_sensor(spec.optics.sensor, colours)


def _write(part: Path, chip: SimulatedChip) -> None:
    ideal = chip.student.frontend.sensor_kernels().detach().numpy()
    made = chip.frontend.sensor_kernels().detach().numpy()
    write_arrays(part / "kernels.npz", designed=ideal, built=made)
    if stored := chip.frontend.stored():
        write_arrays(part / "psf.npz", **{name: array.numpy() for name, array in stored.items()})


FABRICATED = Stage(
    "fabricated",
    narrow_chip,
    _run,
    needs=(STUDENT, METASURFACE),
    wanted=lambda spec: spec.fabrication is not None,
)
