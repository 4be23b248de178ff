"""Stage ``deployed``: the network that a run ended with, as files that run without torch."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hybridonn.core.files import checksum, write_table
from hybridonn.deployment.c_code import write_c
from hybridonn.deployment.cost import count_costs, count_macs
from hybridonn.deployment.energy import tabulate_energy
from hybridonn.deployment.export import name_branches
from hybridonn.deployment.latency import measure_latency, one_thread
from hybridonn.deployment.manifest import BranchLayout, Manifest, write_manifest
from hybridonn.deployment.microcontroller import check_c
from hybridonn.deployment.network_files import (
    BACKEND,
    INT8,
    KEYS,
    run_beside_torch,
    write_network,
)
from hybridonn.deployment.runtime import OnnxNetwork
from hybridonn.deployment.tflite.check import check_tflite
from hybridonn.deployment.tflite.micro import write_tflite
from hybridonn.networks.frontends.table import FRONTENDS
from hybridonn.pipeline.chip import list_readouts
from hybridonn.pipeline.deployable import REAL, SIMULATED, Deployable, load_deployable
from hybridonn.pipeline.stage import Context, Stage
from hybridonn.pipeline.stages.metasurface import load_student
from hybridonn.pipeline.stages.student import STUDENT
from hybridonn.pipeline.stages.teacher import BUILT_FROM, TEACHER, load_teacher
from hybridonn.spec import Spec, narrow
from hybridonn.tasks.task import Task, make_task

IN_C = 1000  # test images that the C file is run on
# Test images that the interpreter for microcontrollers runs, which is slow: fewer of a large one.
LEAST_IN_TFLITE, MOST_IN_TFLITE, TFLITE_MACS = 16, 1000, 10**9
SUFFIXES = (".onnx", ".py", ".c", ".h", ".csv", ".tflite")  # of the files that the manifest names
Shapes = tuple[tuple[int, int, int], ...]


def _inputs(spec: Spec) -> Spec:
    chip = () if spec.fabrication is None else ("fabrication",)
    return narrow(spec, "name", "task", "seed", "student", "optics", *chip, *BUILT_FROM)


def _run(context: Context, sources: tuple[Stage, ...]) -> dict[str, Any]:
    """Write the files, run each of them beside torch on the test images, and measure their cost.

    Raises:
        DeploymentError: A package is missing, the backend cannot be translated, or a file gives
            something else than torch.
    """
    spec, dataset, part = context.spec, context.dataset, context.part
    ended, task = load_deployable(context, sources), make_task(spec.task)
    backend, shapes = ended.network.backend, ended.network.shape_features(dataset.image_shape)
    with context.progress.bar("deployed files", 3) as advance:
        scene_shape = dataset.image_shape if ended.takes_scenes else None
        write_network(ended.network, shapes, scene_shape, ended.calibration, part)
        advance(1)
        found = run_beside_torch(part, backend, ended.test, task)
        advance(1)
        results: dict[str, Any] = {
            "backend": ended.backend,
            "optics": ended.optics,
            "calibration_images": len(ended.calibration),
            "test_images": len(ended.test),
            task.metric: found.pop("torch").metric,
            **{KEYS[name]: one.as_numbers(task.metric) for name, one in found.items()},
        }
        if "c" in context.options["targets"]:
            results["c"] = _write_c(ended, dataset.classes, dataset.image_shape, shapes, spec, part)
        if "tflite-micro" in context.options["targets"]:
            results["tflite_micro"] = _write_tflite(ended, shapes, task, part)
        advance(1)
    results |= _measure(context, backend, shapes)
    if (duration := results.get("c", {}).pop("host_us", None)) is not None:
        results["latency_us"]["c"] = duration
    _write_manifest(context, ended, shapes, sources)
    return results


def _write_c(
    ended: Deployable,
    classes: tuple[str, ...],
    image_shape: tuple[int, int, int],
    shapes: Shapes,
    spec: Spec,
    part: Path,
) -> dict[str, Any]:
    folder = part / "c"
    folder.mkdir(exist_ok=True)
    outputs = make_task(spec.task).output_shape(len(classes), image_shape)
    code = write_c(part / BACKEND, folder, shapes, outputs)
    return check_c(code, ended.network.backend, ended.test.features(IN_C))


def _write_tflite(ended: Deployable, shapes: Shapes, task: Task, part: Path) -> dict[str, Any]:
    folder, backend = part / "tflite", ended.network.backend
    folder.mkdir(exist_ok=True)
    code = write_tflite(part / BACKEND, part / INT8, folder)
    macs = count_macs(backend, tuple(torch.zeros(1, *shape) for shape in shapes))
    images = min(max(TFLITE_MACS // macs, LEAST_IN_TFLITE), MOST_IN_TFLITE)
    features, labels = ended.test.features(images), ended.test.labels[:images]
    return check_tflite(code, backend, part / INT8, features, labels, task)


def _measure(context: Context, backend: nn.Module, shapes: Shapes) -> dict[str, Any]:
    """Multiply-accumulates, energy by every assumption, and latency of a single image here."""
    spec, dataset, part = context.spec, context.dataset, context.part
    teacher = load_teacher(spec, dataset, context.need(TEACHER).folder)
    student = load_student(spec, dataset, context.need(STUDENT))
    bits = spec.optics.sensor.bit_depth
    costs = count_costs(teacher, student, dataset.image_shape, bits)
    write_table(part / "cost.csv", [one.as_row() for one in costs])
    write_table(part / "energy.csv", tabulate_energy(costs))
    latency = time_backends(backend, shapes, part)
    write_table(part / "latency.csv", latency)
    return {
        "macs": {one.name: one.macs for one in costs},
        "parameters": {one.name: one.parameters for one in costs},
        "latency_us": {row["runtime"]: row["least_us"] for row in latency},
    }


@torch.no_grad()
def time_backends(backend: nn.Module, shapes: Shapes, part: Path) -> list[dict[str, Any]]:
    """Latency of one image in torch and in the files of a folder, on one thread."""
    features: tuple[Tensor, ...] = tuple(torch.zeros(1, *shape) for shape in shapes)
    calls = {"torch": partial(backend, features)}
    for name, file in (("onnxruntime", BACKEND), ("int8", INT8)):
        if (part / file).is_file():
            network = OnnxNetwork(part / file, threads=1)
            feed = dict(zip(network.names, (one.numpy() for one in features), strict=True))
            calls[name] = partial(network.session.run, None, feed)  # as `run.py` calls it
    with one_thread():
        return [{"runtime": name, **measure_latency(call)} for name, call in calls.items()]


def _write_manifest(
    context: Context, ended: Deployable, shapes: Shapes, sources: tuple[Stage, ...]
) -> None:
    spec, dataset, part = context.spec, context.dataset, context.part
    # Without optics the backend takes the image itself.
    optical = FRONTENDS[spec.frontend].optical
    binnings = [one.binning for one in list_readouts(spec.student)] if optical else [1]
    layouts = [
        BranchLayout(*one) for one in zip(name_branches(len(shapes)), shapes, binnings, strict=True)
    ]
    written = [path for path in sorted(part.rglob("*")) if path.suffix in SUFFIXES]
    stages = {stage.name: context.find(stage) for stage in sources}
    write_manifest(
        part,
        Manifest(
            run=spec.name,
            task=spec.task,
            metric=make_task(spec.task).metric,
            classes=dataset.classes,
            image_shape=dataset.image_shape,
            branches=tuple(layouts),
            gains=tuple(map(tuple, ended.gains.tolist())),
            optics=ended.optics,
            backend=ended.backend,
            stages={name: one.fingerprint for name, one in stages.items() if one is not None},
            version=version("hybridonn"),
            files={path.relative_to(part).as_posix(): checksum(path) for path in written},
        ),
    )


def _make_stage(sources: tuple[Stage, ...]) -> Stage:
    return Stage(
        "deployed",
        _inputs,
        partial(_run, sources=sources),
        needs=(TEACHER, *sources),
        options={"calibration": 512, "targets": ("onnx",), "captures": None},
    )


# Made by a command of its own, of what a finished run holds.
DEPLOYED = _make_stage(SIMULATED)
# The same of a backend that was compensated on captures of a real chip.
DEPLOYED_ON_CAPTURES = _make_stage(REAL)
