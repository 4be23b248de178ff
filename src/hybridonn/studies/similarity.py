"""How similar the tangent kernels of untrained designs are to that of the teacher.

The similarity of the kernels of two networks is a proxy of how well one can be distilled into the
other, so designs could be ranked by it before any of them is trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from time import perf_counter
from typing import Any

import numpy as np
from torch import Tensor

from hybridonn.core.progress import Progress, Silent
from hybridonn.data import load_dataset
from hybridonn.data.dataset import Dataset
from hybridonn.networks.student import build_student
from hybridonn.pipeline.stage import complete
from hybridonn.pipeline.stage_folder import Finished, read_stage
from hybridonn.pipeline.stages.alignment import ALIGNMENT, load_aligned, watched_kernel
from hybridonn.pipeline.stages.teacher import TEACHER
from hybridonn.spec import Spec, Student
from hybridonn.studies.designs import VARIED, DesignPoint
from hybridonn.studies.engine import map_runs
from hybridonn.studies.inputs import pack_inputs, unpack_root, unpack_spec
from hybridonn.studies.rank_correlation import correlate
from hybridonn.studies.rows import name_row, open_rows
from hybridonn.studies.runs import Opened, Run, Work
from hybridonn.studies.workers import HERE, Workers
from hybridonn.tangent import centred_alignment

STUDY = "kernel similarity"
OPEN = "hybridonn.studies.similarity:open_kernels"
DESIGNS = "designs"  # folder of the rows, beside those of teacher and kernel
DO = "hybridonn.studies.similarity:compare_kernels"


@dataclass(frozen=True)
class Kernels:
    """What the comparison of all designs shares.

    Attributes:
        spec: Spec of the study.
        dataset: The images.
        aligned: The teacher's kernel on the first validation images, (n, n).
    """

    spec: Spec
    dataset: Dataset
    aligned: Tensor


def measure_similarities(
    spec: Spec,
    designs: Sequence[DesignPoint],
    folder: Path,
    data_root: Path | None = None,
    progress: Progress | None = None,
    workers: Workers = HERE,
) -> dict[str, dict[str, float]]:
    """Compare the kernel of each design, untrained, with that of the trained teacher.

    The teacher is trained first, unless it is in the cache. A design's similarity is the mean of
    ``estimate.draws`` draws of its weights.

    Args:
        spec: Data, teacher, and what the designs have in common.
        designs: The designs.
        folder: Where teacher, kernel and rows go, in a folder that the caller holds.
        data_root: Where named data sets lie.
        progress: Shows how far it is.
        workers: Who compares.

    Returns:
        ``similarity``, the centred alignment from 0 to 1, and ``seconds``, by name of the design.

    Raises:
        HybridonnError: The teacher cannot be trained, or runs failed.
    """
    progress = progress or Silent()
    folder.mkdir(exist_ok=True)
    progress.say(
        f"kernel similarity: the teacher is trained once, then {spec.estimate.draws} untrained "
        f"draws of each of {len(designs)} designs are compared with it"
    )
    dataset = load_dataset(spec.data, data_root, progress)
    teacher = complete(TEACHER, spec, dataset, {}, folder / TEACHER.name, progress)
    done = {TEACHER.name: teacher}
    alignment = complete(ALIGNMENT, spec, dataset, done, folder / ALIGNMENT.name, progress)
    (folder / DESIGNS).mkdir(exist_ok=True)
    rows = open_rows(folder / DESIGNS, STUDY, _describe(spec, alignment))
    runs = [
        Run(
            name_row(one.name),
            one.name,
            {"varied": {name: getattr(one.student, name) for name in VARIED}},
        )
        for one in designs
    ]
    shared = Kernels(spec, dataset, load_aligned(alignment))
    work = Work(STUDY, OPEN, DO, pack_inputs(spec, data_root))
    map_runs(work, runs, rows, shared, progress, workers)
    return {one.name: rows.values[name_row(one.name)] for one in designs}


def _describe(spec: Spec, alignment: Finished) -> dict[str, Any]:
    shared = {key: value for key, value in spec.student.model_dump().items() if key not in VARIED}
    return {
        "alignment": alignment.fingerprint,
        "draws": spec.estimate.draws,
        "student": shared,
        "frontend": spec.optics.frontend,
        "four_f": spec.optics.four_f.model_dump(mode="json"),
    }


def open_kernels(inputs: dict[str, Any], folder: Path) -> Opened:
    """What a worker shares between designs."""
    spec = unpack_spec(inputs)
    dataset = load_dataset(spec.data, unpack_root(inputs), Silent())
    alignment = read_stage(folder.parent / ALIGNMENT.name)
    return Kernels(spec, dataset, load_aligned(alignment)), _describe(spec, alignment)


def compare_kernels(
    kernels: Kernels, arguments: dict[str, Any], progress: Progress
) -> dict[str, float]:
    """The similarity of a design to the teacher, and what it took."""
    began = perf_counter()
    spec, dataset = kernels.spec, kernels.dataset
    student = Student.model_validate(spec.student.model_dump() | arguments["varied"])
    shape, classes = dataset.image_shape, len(dataset.classes)
    found = []
    for draw in range(spec.estimate.draws):
        network = build_student(student, shape, classes, draw, spec.optics, spec.task).eval()
        kernel = watched_kernel(network, spec, dataset)
        found.append(float(centred_alignment(kernel, kernels.aligned.to(kernel.device))))
    return {"similarity": fmean(found), "seconds": perf_counter() - began}


def summarise_similarities(
    rows: list[dict[str, Any]], found: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    """Rank correlation of the kernels' similarity with trained accuracy, and its cost.

    Args:
        rows: A design each, as in ``ranking.csv``.
        found: From :func:`measure_similarities`.
    """
    values = {row["name"]: found[row["name"]]["similarity"] for row in rows}
    trained = np.array([row["trained"] for row in rows])
    seconds = sum(found[row["name"]]["seconds"] for row in rows)
    share = seconds / sum(row["trained_seconds"] for row in rows)
    return {
        **correlate(np.array(list(values.values())), trained),
        "time_share": share,
        "designs": values,
    }
