"""Stage ``deployed``: the network that a run ended with, as files that run without torch."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hybridonn.core.files import checksum, write_table
from hybridonn.core.random import generator_of
from hybridonn.data.dataset import Dataset
from hybridonn.deployment.c_code import write_c
from hybridonn.deployment.cost import count_cost
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
    take_features,
    write_network,
)
from hybridonn.deployment.runtime import OnnxNetwork
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.networks.student import shape_branches
from hybridonn.pipeline.chip import list_readouts
from hybridonn.pipeline.deployable import Deployable, load_deployable
from hybridonn.pipeline.stage import Context, Stage
from hybridonn.pipeline.stages.compensated import COMPENSATED
from hybridonn.pipeline.stages.fabricated import FABRICATED
from hybridonn.pipeline.stages.metasurface import METASURFACE
from hybridonn.pipeline.stages.student import STUDENT
from hybridonn.pipeline.stages.teacher import BUILT_FROM, TEACHER, load_teacher
from hybridonn.spec import Spec, narrow
from hybridonn.tasks.task import make_task

IN_C = 1000  # test images that the C file is run on
SUFFIXES = (".onnx", ".py", ".c", ".h", ".csv")  # of the files that the manifest names
SOURCES = (STUDENT, METASURFACE, FABRICATED, COMPENSATED)


def _inputs(spec: Spec) -> Spec:
    return narrow(spec, "name", "task", "seed", "student", "optics", *BUILT_FROM)


def _run(context: Context) -> dict[str, Any]:
    """Write the files, run each of them beside torch on the test images, and measure their cost.

    Raises:
        DeploymentError: A package is missing, the backend cannot be translated, or a file gives
            something else than torch.
    """
    spec, dataset, part = context.spec, context.dataset, context.part
    ended, task = load_deployable(context), make_task(spec.task)
    network, shapes = ended.network, shape_branches(spec.student, dataset.image_shape)
    chosen = choose_calibration(dataset, context.options["calibration"], spec.seed)
    with context.progress.bar("deployed files", 3) as advance:
        write_network(network, shapes, dataset.image_shape, chosen, part)
        advance(1)
        found = run_beside_torch(part, network, dataset.test, task)
        advance(1)
        results: dict[str, Any] = {
            "backend": ended.backend,
            "optics": ended.optics,
            task.metric: found.pop("torch").metric,
            **{KEYS[name]: one.as_numbers(task.metric) for name, one in found.items()},
        }
        if "c" in context.options["targets"]:
            results["c"] = _write_c(network, dataset, shapes, spec, part)
        advance(1)
    results |= _measure(context, network, shapes)
    if (duration := results.get("c", {}).pop("host_us", None)) is not None:
        results["latency_us"]["c"] = duration
    _write_manifest(context, ended, shapes)
    return results


def choose_calibration(dataset: Dataset, number: int, seed: int) -> Tensor:
    """Training images for whose features the ranges of integers are set, (N, C, H, W)."""
    images = dataset.student_train.images
    order = torch.randperm(len(images), generator=generator_of("calibration of integers", seed))
    return images[order[:number]]


def _write_c(
    network: HybridNetwork,
    dataset: Dataset,
    shapes: tuple[tuple[int, int, int], ...],
    spec: Spec,
    part: Path,
) -> dict[str, Any]:
    folder = part / "c"
    folder.mkdir(exist_ok=True)
    outputs = make_task(spec.task).output_shape(len(dataset.classes), dataset.image_shape)
    code = write_c(part / BACKEND, folder, shapes, outputs)
    return check_c(code, network.backend, take_features(network, dataset.test.images[:IN_C]))


def _measure(
    context: Context, network: HybridNetwork, shapes: tuple[tuple[int, int, int], ...]
) -> dict[str, Any]:
    """Multiply-accumulates, energy by every assumption, and latency of a single image here."""
    dataset, part = context.dataset, context.part
    teacher = load_teacher(context.spec, dataset, context.need(TEACHER).folder)
    costs = [
        count_cost("teacher", teacher, (dataset.image_shape,)),
        count_cost("digital", network, (dataset.image_shape,)),
        count_cost("backend", network.backend, shapes, optical=True),
    ]
    write_table(part / "energy.csv", tabulate_energy(costs))
    latency = _time_backends(network, shapes, part)
    write_table(part / "latency.csv", latency)
    return {
        "macs": {one.name: one.macs for one in costs},
        "parameters": {one.name: one.parameters for one in costs},
        "latency_us": {row["runtime"]: row["least_us"] for row in latency},
    }


@torch.no_grad()
def _time_backends(
    network: HybridNetwork, shapes: tuple[tuple[int, int, int], ...], part: Path
) -> list[dict[str, Any]]:
    features = tuple(torch.zeros(1, *shape) for shape in shapes)
    calls = {"torch": partial(network.backend, features)}
    for name, file in (("onnxruntime", BACKEND), ("int8", INT8)):
        calls[name] = partial(OnnxNetwork(part / file, threads=1), features)
    with one_thread():
        return [{"runtime": name, **measure_latency(call)} for name, call in calls.items()]


def _write_manifest(
    context: Context, ended: Deployable, shapes: tuple[tuple[int, int, int], ...]
) -> None:
    spec, dataset, part = context.spec, context.dataset, context.part
    readouts = list_readouts(spec.student)
    layouts = [
        BranchLayout(name, shape, readout.binning)
        for name, shape, readout in zip(name_branches(len(shapes)), shapes, readouts, strict=True)
    ]
    written = [path for path in sorted(part.rglob("*")) if path.suffix in SUFFIXES]
    stages = {stage.name: context.find(stage) for stage in SOURCES}
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


# Made by a command of its own, of what a finished run holds.
DEPLOYED = Stage(
    "deployed",
    _inputs,
    _run,
    needs=(TEACHER, *SOURCES),
    options={"calibration": 512, "targets": ("onnx",)},
)
