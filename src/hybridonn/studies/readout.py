"""Accuracy of a plain lens and of ideal kernels against the numbers that a camera reads out.

With all pixels of a sharp image at hand, the electronics can compute what optics can; optics gain
where the read-out is small (arXiv 2606.09792). So the read-out is swept: each image is integrated
on ``pooled_size`` x ``pooled_size`` camera pixels and rounded to some bits before anything
nonlinear happens, and the rest of the design stays. Students train through this camera, rounding
and saturation included, with the gradient passing the rounding as if it were not there; noise is
left out of the training and acts on all test images. A lens reads one image a channel, kernels
two signs in each channel. Backends have the same hidden widths, and the inputs that their optics
give.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch

from hybridonn.core.errors import SpecError
from hybridonn.core.files import write_json, write_table, write_tensors, write_text
from hybridonn.core.progress import Progress, Silent
from hybridonn.data import load_dataset
from hybridonn.data.dataset import Dataset
from hybridonn.deployment.cost import count_macs
from hybridonn.distillation.best_epoch import find_best
from hybridonn.distillation.training import predict, train
from hybridonn.networks.frontends.coarse_read_out import CoarseReadOut
from hybridonn.networks.hybrid import count_parameters
from hybridonn.networks.student import build_student, check_fit
from hybridonn.pipeline.from_spec import (
    draw_camera_noise,
    read_plain_sensor,
)
from hybridonn.pipeline.preflight import refuse_early, refuse_unread
from hybridonn.pipeline.run_folder import open_folder
from hybridonn.pipeline.stage import Context, Stage, complete
from hybridonn.pipeline.stages.student import narrow_student, set_up_training
from hybridonn.pipeline.stages.teacher import TEACHER
from hybridonn.pipeline.stages.teacher_targets import TEACHER_TARGETS
from hybridonn.reports.figures.readout import write_readout
from hybridonn.reports.studies import write_study_report
from hybridonn.spec import Spec, dump_spec, narrow, validate
from hybridonn.studies.counts import MOST_KERNELS, refuse_count, refuse_twice, split_list
from hybridonn.studies.engine import map_runs
from hybridonn.studies.optics_choice import IDEAL, LABELS, LENS, state_all, state_optics
from hybridonn.studies.readout_summary import summarise, tabulate
from hybridonn.studies.rows import name_row, open_rows
from hybridonn.studies.runs import Opened, Run, Work
from hybridonn.studies.settings import describe_section
from hybridonn.studies.shared_teacher import (
    SharedTeacher,
    describe_shared_teacher,
    open_shared_teacher,
    pack_shared_teacher,
    train_shared_teacher,
)
from hybridonn.studies.workers import HERE, Workers
from hybridonn.tasks.task import make_task

STUDY = "study readout"
OPEN = "hybridonn.studies.readout:open_readout"
DO = "hybridonn.studies.readout:measure_readout"
OPTICS = (LENS, IDEAL)


@dataclass(frozen=True)
class Grid:
    """What is tried.

    Attributes:
        pooled_sizes: Camera pixels along a side of an image.
        bits: Bits of the camera.
        kernels: Numbers of ideal kernels; a lens has one a channel.
        optics: The optics, of :data:`OPTICS`.
    """

    pooled_sizes: tuple[int, ...]
    bits: tuple[int, ...]
    kernels: tuple[int, ...]
    optics: tuple[str, ...] = OPTICS


@dataclass(frozen=True)
class ReadOut:
    """One point of the grid.

    Attributes:
        optics: Name of the optics.
        kernels: Number of kernels.
        pooled_size: Camera pixels along a side of an image.
        bits: Bits of the camera.
    """

    optics: str
    kernels: int
    pooled_size: int
    bits: int

    @property
    def name(self) -> str:
        """What a person calls it."""
        size = f"{self.pooled_size} x {self.pooled_size} pixels, {self.bits} bits"
        return f"{LABELS[self.optics]} ({self.kernels}), {size}"


def sweep_readout(
    spec: Spec,
    grid: Grid,
    seeds: int,
    folder: Path,
    data_root: Path | None = None,
    progress: Progress | None = None,
    workers: Workers = HERE,
) -> dict[str, Any]:
    """Train and test a design behind read-outs of several sizes, on the same seeds.

    Interrupted and called again, it goes on where it was. The table keeps the students of all
    calls with the same spec.

    Args:
        spec: The design; its stride is taken as 1 and its pooling is that of the camera.
        grid: What is tried.
        seeds: Seeds 0 to ``seeds - 1``.
        folder: Where students, tables and figure go.
        data_root: Where named data sets lie.
        progress: Shows how far it is.
        workers: Who trains.

    Returns:
        What ``readout.json`` holds, see :func:`hybridonn.studies.readout_summary.summarise`.

    Raises:
        SpecError: There is no seed, a value of the grid is not allowed, or the backend has no
            pooled size.
        ArtefactError: The folder holds students of another spec.
    """
    refuse_count("--seeds", seeds)
    progress = progress or Silent()
    whole = _state_whole(spec)
    method = whole.distillation.method
    with open_folder(folder, whole):
        refuse_unread(whole)
        dataset = load_dataset(whole.data, data_root, progress)
        refuse_early(whole, dataset)
        points = list_points(grid, dataset.image_shape[0])
        for point in points:
            check_fit(_state(whole, point).student, dataset.image_shape)
        rows = open_rows(folder, STUDY, _describe(whole, dataset))
        write_text(folder / "spec.yaml", dump_spec(whole))
        shared = train_shared_teacher(whole, dataset, folder, progress)
        runs = [_list_run(whole, point, seed) for seed in range(seeds) for point in points]

        def write() -> None:
            write_table(folder / "students.csv", _tabulate(rows.values))

        work = Work(STUDY, OPEN, DO, pack_shared_teacher(whole, (method,), data_root))
        map_runs(work, runs, rows, shared, progress, workers, write)
        task = make_task(whole.task)
        found = summarise([rows.values[run.key] for run in runs], task.metric)
        found |= {"design": whole.name, "label": task.label, "metric": task.metric}
        write_json(folder / "readout.json", found)
        write_table(folder / "readout.csv", tabulate(found["points"]))
        write_readout(folder)
        write_study_report(folder)
    return found


def parse_numbers(option: str, text: str) -> tuple[int, ...]:
    """Whole numbers separated by commas, each once.

    Args:
        option: Its name, for the message.
        text: What it was given.

    Raises:
        SpecError: An entry is no number from 1 up.
    """
    allowed = "whole numbers from 1 up, with commas"
    words = split_list(option, text, allowed)
    if not all(word.isdecimal() and len(word) < 20 for word in words):
        raise SpecError(f"{option} {text[:80]}: allowed are {allowed}")
    for word in words:
        refuse_count(option, int(word), MOST_KERNELS)
    numbers = tuple(int(word) for word in words)
    refuse_twice(option, numbers)
    return numbers


def list_points(grid: Grid, channels: int) -> list[ReadOut]:
    """All points of a grid; a lens stands once for all numbers of kernels."""
    return [
        ReadOut(optics, kernels, size, bits)
        for optics in grid.optics
        for bits, kernels, size in product(
            grid.bits, (channels,) if optics == LENS else grid.kernels, grid.pooled_sizes
        )
    ]


def open_readout(inputs: dict[str, Any], folder: Path) -> Opened:
    """What a worker shares between read-outs: the teacher that the study has trained."""
    shared, _ = open_shared_teacher(inputs, folder)
    return shared, _describe(shared.spec, shared.dataset)


def measure_readout(
    shared: SharedTeacher, arguments: dict[str, Any], progress: Progress
) -> dict[str, Any]:
    """Train and test the student of the point and the ``seed`` of the arguments: its row."""
    point, seed = ReadOut(**arguments["point"]), arguments["seed"]
    spec = _state(shared.spec, point).with_seed(seed)
    name = f"{point.optics}-{point.kernels}-{point.pooled_size}-{point.bits}-{seed}"
    place = shared.folder / "students" / name
    found = complete(READ_OUT, spec, shared.dataset, shared.done, place, progress).results
    return asdict(point) | {"seed": seed} | found


def _train(context: Context) -> dict[str, Any]:
    """Train a student through its read-out and test it behind the camera's noise."""
    spec, dataset, part = context.spec, context.dataset, context.part
    network = build_student(
        spec.student, dataset.image_shape, len(dataset.classes), spec.seed, spec.optics, spec.task
    )
    sensor = read_plain_sensor(spec.optics.sensor, dataset.image_shape[0])
    camera = CoarseReadOut(network.frontend, spec.student.pooled_size, sensor)
    network.frontend = camera
    setup = set_up_training(context)
    history = train(network, setup, part / "checkpoint.safetensors", context.progress)
    write_tensors(part / "weights.safetensors", network.state_dict())
    device = next(network.parameters()).device
    camera.generator = draw_camera_noise(spec, device)
    task, numbers = setup.objective.task, camera.count_numbers()
    best = history[find_best(history, task.metric)]
    features = torch.zeros(1, camera.kernels, camera.side, camera.side, device=device)
    return {
        **task.measure(predict(network, dataset.test.images), dataset.test.labels),
        f"validation_{task.metric}": best[f"validation_{task.metric}"],
        "numbers": numbers,
        "bits_read": numbers * (spec.optics.sensor.bit_depth or 0),
        "digital_parameters": count_parameters(network.backend),
        "macs": count_macs(network.backend, (features,)),
        "seconds": round(sum(row["seconds"] for row in history), 2),
    }


READ_OUT = Stage(
    "read-out",
    lambda spec: narrow_student(spec, "optics.sensor"),
    _train,
    needs=(TEACHER, TEACHER_TARGETS),
)


def _state_whole(spec: Spec) -> Spec:
    """The spec of the study: ideal kernels, of stride 1.

    Raises:
        SpecError: The backend has no pooled size, or training goes on behind simulated chips.
    """
    if spec.student.backend != "dense":
        raise SpecError(
            f"student.backend is {spec.student.backend}, but the read-out that is swept is the "
            "pooled size of the dense backend; use a spec whose student.backend is dense"
        )
    whole = state_optics(state_all(spec, spec.distillation.method), IDEAL, 1)
    student = whole.student.model_copy(update={"stride": 1})
    return whole.model_copy(update={"student": student})


def _state(whole: Spec, point: ReadOut) -> Spec:
    """The spec of one point."""
    size = 1 if point.optics == LENS else whole.student.kernel_size
    changes = {"kernels": point.kernels, "pooled_size": point.pooled_size, "kernel_size": size}
    sensor = whole.optics.sensor.model_copy(update={"bit_depth": point.bits})
    optics = whole.optics.model_copy(update={"frontend": point.optics, "sensor": sensor})
    student = whole.student.model_copy(update=changes)
    changed = whole.model_copy(update={"student": student, "optics": optics})
    return validate(changed.model_dump(), f"{whole.name} with {point.name}")


def _describe(whole: Spec, dataset: Dataset) -> dict[str, Any]:
    """What every row depends on beside its point, method, tuned values and seed."""
    described = describe_shared_teacher(whole, dataset, (whole.distillation.method,))
    return described | describe_section(narrow(whole, "optics.sensor"))


def _list_run(whole: Spec, point: ReadOut, seed: int) -> Run:
    method = whole.distillation.method
    tuned = whole.tuned.of(method).model_dump(exclude_none=True)
    key = name_row(seed, asdict(point), method, tuned)
    arguments = {"point": asdict(point), "seed": seed}
    return Run(key, f"{point.name}, seed {seed}", arguments)


def _tabulate(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All students that were ever trained, by point and seed."""
    keys = ("bits", "kernels", "pooled_size", "seed")
    return sorted(
        values.values(),
        key=lambda row: (OPTICS.index(row["optics"]), *(row[key] for key in keys)),
    )
