"""How the parts of a table are measured: each by a study that is there anyway."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hybridonn.core.progress import Progress
from hybridonn.spec import Spec
from hybridonn.studies.reproduce.record import Part, Row, Size
from hybridonn.studies.workers import Workers

INFINITE = "infinite"


@dataclass(frozen=True)
class Call:
    """What every part of a reproduction is told.

    Attributes:
        folder: Folder of the part.
        data_root: Where named data sets lie.
        progress: Shows how far it is.
        workers: Who does the runs.
    """

    folder: Path
    data_root: Path | None
    progress: Progress
    workers: Workers


@dataclass(frozen=True)
class Measured:
    """Our number beside one of the paper.

    Attributes:
        values: One a seed, draw or chip, in the unit of the table; shares where that is per cent.
        seconds: Mean time of one of them; None: there is nothing to train.
        images: Test images that a single value is of, each named rightly or wrongly; None: the
            value is of another kind.
        note: What there is to say beside it.
    """

    values: tuple[float, ...]
    seconds: float | None = None
    images: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Found:
    """What a part has shown.

    Attributes:
        rows: By key of the row.
        sentences: Paired differences and the like.
    """

    rows: dict[str, Measured]
    sentences: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Kind:
    """A way to measure a part.

    Attributes:
        measure: From a part, the size, the rows, its spec and the call to what it shows.
        count_runs: From a row and the size to the number of its runs.
    """

    measure: Callable[[Part, Size, list[Row], Spec, Call], Found]
    count_runs: Callable[[Row, Size], int]


def measure_students(part: Part, size: Size, rows: list[Row], spec: Spec, call: Call) -> Found:
    """Train students by the methods that the rows name, from paired seeds."""
    from hybridonn.studies.compare import compare

    methods = tuple(row.key for row in rows)
    found = compare(
        spec, methods, size.trials, call.folder, call.data_root, call.progress, call.workers
    )
    by_method = {
        name: Measured(tuple(one["values"]), one["seconds"])
        for name, one in found["methods"].items()
    }
    return Found(by_method, found["sentences"])


def measure_random_kernels(
    part: Part, size: Size, rows: list[Row], spec: Spec, call: Call
) -> Found:
    """Fit heads to the numbers of random kernels that the rows name."""
    from hybridonn.studies.random_kernels import random_kernels

    counts = tuple(int(row.key) for row in rows if row.key != INFINITE)
    table = random_kernels(
        spec,
        counts,
        size.trials,
        call.folder,
        call.data_root,
        call.progress,
        infinite=any(row.key == INFINITE for row in rows),
        workers=call.workers,
    )
    images = table["test_images"]
    return Found(
        {
            one["kernels"]: Measured(tuple(one["values"]), one["seconds"], images, one["method"])
            for one in table["columns"]
        }
    )


def compute_energies(part: Part, size: Size, rows: list[Row], spec: Spec, call: Call) -> Found:
    """Energies of an image, mJ, by the paper's constants: of its networks, or of ours."""
    from hybridonn.deployment.energy import PAPER_NETWORKS, choose_assumptions

    (paper,) = choose_assumptions(("paper",))
    costs = PAPER_NETWORKS if part.options["networks"] == "paper" else _count_costs(spec)
    return Found(
        {
            one.name: Measured((1e3 * paper.energy_j(one),), note=f"{one.macs / 1e6:,.1f} M MACs")
            for one in costs
        }
    )


def _count_costs(spec: Spec) -> list[Any]:
    """What an image costs the networks of a spec of colour images, untrained."""
    from hybridonn.deployment.cost import count_costs
    from hybridonn.networks.student import build_student, shape_branches, shape_outputs
    from hybridonn.networks.teachers.build import build_stated_teacher

    height, width = spec.data.size_pixels or (128, 128)
    shape, classes = (3, height, width), 2  # an object and what is around it
    student = build_student(spec.student, shape, classes, 0, task=spec.task)
    outputs = shape_outputs(spec.student, shape, classes, spec.task)
    teacher = build_stated_teacher(spec.teacher, shape, classes, outputs=outputs)
    branches = shape_branches(spec.student, shape)
    return count_costs(teacher, student, branches, shape, spec.optics.sensor.bit_depth)


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "students": Kind(measure_students, lambda row, size: size.trials),
        "random kernels": Kind(
            measure_random_kernels, lambda row, size: 1 if row.key == INFINITE else size.trials
        ),
        "energy": Kind(compute_energies, lambda row, size: 0),
    }
)
