"""How the parts of a table are measured: each by a study that is there anyway."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from hybridonn.spec import Spec
from hybridonn.studies.reproduce.found import Call, Found, Measured
from hybridonn.studies.reproduce.record import Part, Row, Size
from hybridonn.studies.reproduce.runs import make_run, measure_chips, show_run

INFINITE, TEACHER = "infinite", "teacher"


@dataclass(frozen=True)
class Kind:
    """A way to measure a part.

    Attributes:
        measure: From a part, the size, the rows, its spec and the call to what it shows.
        count_runs: From the rows and the size to the number of runs by key of the row; where a run
            measures all rows, it counts with the first.
        prepare: Makes what all runs of a part share, of a part, its rows, its spec and the call;
            None: they share nothing that takes time.
    """

    measure: Callable[[Part, Size, list[Row], Spec, Call], Found]
    count_runs: Callable[[list[Row], Size], dict[str, int]]
    prepare: Callable[[Part, list[Row], Spec, Call], None] | None = None


def measure_students(part: Part, size: Size, rows: list[Row], spec: Spec, call: Call) -> Found:
    """Train students by the methods that the rows name, from paired seeds."""
    from hybridonn.studies.compare import compare

    methods = _list_methods(rows)
    found = compare(
        spec, methods, size.trials, call.folder, call.data_root, call.progress, call.workers
    )
    by_method = {
        name: Measured(tuple(one["values"]), one["seconds"])
        for name, one in found["methods"].items()
    }
    return Found(by_method | {TEACHER: Measured((found["teacher"],))}, found["sentences"])


def prepare_students(part: Part, rows: list[Row], spec: Spec, call: Call) -> None:
    """Train the teacher of the students and store its targets."""
    from hybridonn.studies.compare import prepare_comparison

    prepare_comparison(spec, _list_methods(rows), call.folder, call.data_root, call.progress)


def _list_methods(rows: list[Row]) -> tuple[str, ...]:
    return tuple(row.key for row in rows if row.key != TEACHER)


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
    from hybridonn.networks.student import build_student, shape_outputs
    from hybridonn.networks.teachers.build import build_stated_teacher

    height, width = spec.data.size_pixels or (128, 128)
    shape, classes = (3, height, width), 2  # an object and what is around it
    student = build_student(spec.student, shape, classes, 0, task=spec.task)
    outputs = shape_outputs(spec.student, shape, classes, spec.task)
    teacher = build_stated_teacher(spec.teacher, shape, classes, outputs=outputs)
    return count_costs(teacher, student, shape, spec.optics.sensor.bit_depth)


def prepare_run(part: Part, rows: list[Row], spec: Spec, call: Call) -> None:
    """Make the run whose student the chips are of."""
    make_run(part, spec, call)


def _count_each(rows: list[Row], size: Size) -> dict[str, int]:
    """The runs of rows that each have their own; infinitely many kernels are not drawn."""
    trained = [row.key for row in rows if row.key != TEACHER]
    return {key: 1 if key == INFINITE else size.trials for key in trained}


def _count_chips(rows: list[Row], size: Size) -> dict[str, int]:
    return {rows[0].key: size.trials}


def _count_none(rows: list[Row], size: Size) -> dict[str, int]:
    return {}


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "students": Kind(measure_students, _count_each, prepare_students),
        "random kernels": Kind(measure_random_kernels, _count_each),
        "chips": Kind(measure_chips, _count_chips, prepare_run),
        "run": Kind(show_run, _count_none, prepare_run),
        "energy": Kind(compute_energies, _count_none),
    }
)
