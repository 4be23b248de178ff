"""How far errors of the kernels move the tangent kernel, against their number and their size.

Xiang et al. 2025 claim that the kernel moves less with more kernels m, in the order of
``||delta|| / m``; here it is measured and laid beside that law and ``1 / sqrt(m)``. Errors
independent from kernel to kernel have ``||delta||`` in proportion to ``sqrt(m)``, so for them
the two laws are one; for an error of a fixed total norm they differ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hybridonn.core.errors import SpecError
from hybridonn.core.files import write_json, write_table, write_text
from hybridonn.core.progress import Progress, Silent
from hybridonn.core.random import generator_of, seeded
from hybridonn.data import load_dataset
from hybridonn.data.batches import to_scene
from hybridonn.data.dataset import Dataset
from hybridonn.networks.backends.dense import DenseBackend
from hybridonn.networks.frontends.ideal_convolution import IdealConvolution
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.networks.student import check_fit
from hybridonn.pipeline.run_folder import open_folder
from hybridonn.reports.figures.perturbation import write_perturbation
from hybridonn.reports.statistics import PowerLaw, fit_power_law
from hybridonn.spec import Spec, dump_spec, narrow
from hybridonn.studies.counts import MOST_KERNELS, refuse_count
from hybridonn.studies.engine import map_runs
from hybridonn.studies.inputs import pack_inputs, unpack_root, unpack_spec
from hybridonn.studies.rows import Rows, name_row, open_rows
from hybridonn.studies.runs import Opened, Run, Work
from hybridonn.studies.settings import describe_section
from hybridonn.studies.workers import HERE, Workers
from hybridonn.tangent import centred_alignment, record
from hybridonn.tasks.task import make_task

STUDY = "study perturbation"
OPEN = "hybridonn.studies.perturbation:open_images"
DO = "hybridonn.studies.perturbation:perturb_network"
IMAGES = 96  # of the test part, on which kernels are compared
LEAST_COUNTS = 3  # numbers of kernels: two points lie on any power law
CLAIMED = {"-1/2": -0.5, "-1": -1.0}  # exponents of m: 1 / sqrt(m), and ||delta|| / m


def perturb(
    spec: Spec,
    counts: list[int],
    errors: list[float],
    draws: int,
    folder: Path,
    data_root: Path | None,
    progress: Progress,
    workers: Workers = HERE,
) -> dict[str, Any]:
    """Measure ``||Theta' - Theta|| / ||Theta||`` of random networks whose kernels have errors.

    The kernel is that of the backend's weights, which are what compensation can train; one
    dense layer follows the pooling, so that the number of kernels is the only width. A power
    law is fitted to all draws of an error, see
    :func:`hybridonn.reports.statistics.fit_power_law`. The table keeps the draws of all calls
    with the same spec.

    Args:
        spec: Spec of the images, the kernel's size and the pooling.
        counts: Numbers of kernels, three or more.
        errors: Root mean square of delta over that of a kernel.
        draws: Networks and errors drawn for each number of kernels.
        folder: Where table and figure go.
        data_root: Where named data sets lie.
        progress: Shows how far it is.
        workers: Who measures.

    Returns:
        What ``perturbation.json`` holds: ``rows`` with mean, lowest and highest change over the
        draws, ``slopes`` and ``intervals`` (95 %) of the exponent by error, and sentences.

    Raises:
        SpecError: Fewer than three numbers of kernels, one that is given twice, no draw, or a
            design that does not fit the images.
        ArtefactError: The folder holds draws of another spec.
    """
    _check(spec, counts, errors, draws)
    with open_folder(folder, spec):
        shared, told = _open(spec, load_dataset(spec.data, data_root, progress))
        table = open_rows(folder, STUDY, told)
        write_text(folder / "spec.yaml", dump_spec(spec))
        runs = _list_runs(table, counts, errors, draws)
        work = Work(STUDY, OPEN, DO, pack_inputs(spec, data_root))
        map_runs(work, runs, table, shared, progress, workers)
        measured = _list_rows(table)
        rows = [measured[one] for one in product(counts, range(draws), errors)]
        every = sorted(measured.values(), key=lambda row: (row["kernels"], row["draw"]))
        laws = fit_laws(rows)
        found = {
            "name": spec.name,
            "draws": draws,
            "rows": _average(rows),
            "slopes": {error: law.exponent for error, law in laws.items()},
            "intervals": {error: [law.low, law.high] for error, law in laws.items()},
            "sentences": [say_law(error, law) for error, law in laws.items()],
        }
        write_table(folder / "perturbation.csv", every)
        write_json(folder / "perturbation.json", found)
        write_perturbation(folder)
    return found


def parse_numbers(text: str) -> list[float]:
    """Positive numbers separated by commas.

    Raises:
        SpecError: Something else is there.
    """
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = [-1.0]
    if not all(0 < value < math.inf for value in values):
        raise SpecError(f"{text!r}: write positive numbers with commas, such as 4,8,16")
    return values


def parse_counts(text: str) -> list[int]:
    """Whole positive numbers separated by commas.

    Raises:
        SpecError: Something else is there.
    """
    values = parse_numbers(text)
    for value in values:
        refuse_count("--kernels", math.ceil(value), MOST_KERNELS)
    if not all(value.is_integer() for value in values):
        raise SpecError(f"--kernels {text}: a number of kernels is whole, such as 4,8,16")
    return [int(value) for value in values]


def fit_laws(rows: list[dict[str, Any]]) -> dict[str, PowerLaw]:
    """The power of m that the change of the kernel goes with, for each error.

    Args:
        rows: A network and error each: ``kernels``, ``error``, ``change``.
    """
    laws = {}
    for error in dict.fromkeys(row["error"] for row in rows):
        some = [row for row in rows if row["error"] == error]
        m, change = (np.array([row[key] for row in some]) for key in ("kernels", "change"))
        laws[f"{error:g}"] = fit_power_law(m, change)
    return laws


def say_law(error: str, law: PowerLaw) -> str:
    """An exponent with its interval, and which of the claimed ones lie in it.

    Args:
        error: Size of the error.
        law: Fitted to it.
    """
    inside = [name for name, exponent in CLAIMED.items() if law.holds(exponent)]
    outside = [name for name in CLAIMED if name not in inside]
    if not inside:
        verdict = f"neither of the claimed exponents, {' and '.join(CLAIMED)}, lies in it"
    elif not outside:
        verdict = f"it holds both claimed exponents, {' and '.join(CLAIMED)}: more draws, or more "
        verdict += "different numbers of kernels, are needed to tell them apart"
    else:
        verdict = f"the claimed exponent {inside[0]} lies in it and {outside[0]} does not"
    if law.holds(0):
        verdict += "; 0 lies in it too, so that no decrease with m is shown"
    return (
        f"error {error}: the kernel's relative change goes as m^{law.exponent:.2f} (95 % interval "
        f"{law.low:.2f} to {law.high:.2f}, {law.points} points); {verdict} (errors independent "
        "from kernel to kernel have -1/2 by both laws, an error of a fixed total norm -1 by "
        "||delta||/m)"
    )


def _check(spec: Spec, counts: list[int], errors: list[float], draws: int) -> None:
    """Refuse what would be found only after something was measured.

    Raises:
        SpecError: See :func:`perturb`.
    """
    listed = ",".join(map(str, counts))
    if len(set(counts)) < len(counts) or min(counts, default=1) < 1:
        raise SpecError(f"--kernels {listed}: allowed are numbers from 1 up, each once")
    if len(counts) < LEAST_COUNTS:
        raise SpecError(
            f"--kernels {listed}: two points lie on any power law; name {LEAST_COUNTS} numbers "
            "of kernels or more, such as 4,16,64"
        )
    sizes = [f"{error:g}" for error in errors]  # the names of the fits
    if len(set(sizes)) < len(sizes) or min(errors, default=0) <= 0:
        raise SpecError(f"--errors {','.join(sizes)}: allowed are sizes above 0, each once")
    refuse_count("--draws", draws)
    if "infinite" not in make_task(spec.task).estimates:
        raise SpecError(
            f"task is {spec.task}, but this study compares kernels of a classifier; "
            "use a spec whose task is classification"
        )


@dataclass(frozen=True)
class Images:
    """What all networks of the study share.

    Attributes:
        spec: Spec of the study.
        scene: Images, (B, C, H, W).
        classes: Number of classes.
    """

    spec: Spec
    scene: Tensor
    classes: int


def open_images(inputs: dict[str, Any], folder: Path) -> Opened:
    """What a worker shares between networks."""
    spec = unpack_spec(inputs)
    return _open(spec, load_dataset(spec.data, unpack_root(inputs), Silent()))


def _open(spec: Spec, dataset: Dataset) -> tuple[Images, dict[str, Any]]:
    check_fit(spec.student, dataset.image_shape)
    student = narrow(spec.student, "kernel_size", "stride", "pooled_size", "pooling")
    told = {"images": dataset.checksum, "student": describe_section(student)}
    scene = to_scene(dataset.test.images[:IMAGES])
    return Images(spec, scene, len(dataset.classes)), told


def _list_runs(table: Rows, counts: list[int], errors: list[float], draws: int) -> list[Run]:
    """The networks, each with the errors that it lacks: its own kernel is computed once."""
    known, runs = _list_rows(table), []
    for kernels, draw in product(counts, range(draws)):
        lacking = [error for error in errors if (kernels, draw, error) not in known]
        if lacking:
            name = f"{kernels} kernels, draw {draw}"
            arguments = {"kernels": kernels, "draw": draw, "errors": lacking}
            runs.append(Run(name_row(kernels, draw, lacking), name, arguments))
    return runs


def _list_rows(table: Rows) -> dict[tuple[int, int, float], dict[str, Any]]:
    """Everything measured, by number of kernels, draw and error."""
    rows = [row for some in table.values.values() for row in some]
    return {(row["kernels"], row["draw"], row["error"]): row for row in rows}


def perturb_network(
    shared: Images, arguments: dict[str, Any], progress: Progress
) -> list[dict[str, Any]]:
    """Measure some errors of one network: a row each."""
    return _measure(shared, arguments["kernels"], arguments["draw"], arguments["errors"])


def _measure(shared: Images, kernels: int, draw: int, errors: list[float]) -> list[dict[str, Any]]:
    student, scene, classes = shared.spec.student, shared.scene, shared.classes
    with seeded("perturbation", kernels, draw):
        network = HybridNetwork(
            IdealConvolution(kernels, student.kernel_size, scene.shape[1], student.stride),
            DenseBackend(kernels, student.pooled_size, (), classes, student.pooling),
        ).eval()
    weight = network.frontend.signed_kernels().detach().clone()
    delta = torch.randn(weight.shape, generator=generator_of("delta", kernels, draw))
    # The sum over kernels grows with their number: per kernel it converges.
    before, rows = _kernel(network, scene) / kernels, []
    for error in errors:
        with torch.no_grad():
            network.frontend.signed_kernels().copy_(weight + error * delta * weight.std())
        after = _kernel(network, scene) / kernels
        change = torch.linalg.norm(after - before) / torch.linalg.norm(before)
        moved = 1 - centred_alignment(after, before)
        rows.append(
            {"kernels": kernels, "error": error, "draw": draw}
            | {"change": float(change), "misalignment": float(moved)}
        )
    return rows


def _kernel(network: nn.Module, scene: Tensor) -> Tensor:
    with record(network, "last") as trace:
        logits = network(scene)
    return trace.kernel(logits).detach()


def _average(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over the draws of each number of kernels and error, and the range of the change."""
    keys = dict.fromkeys((row["kernels"], row["error"]) for row in rows)
    averages = []
    for kernels, error in keys:
        some = [row for row in rows if (row["kernels"], row["error"]) == (kernels, error)]
        changes = [row["change"] for row in some]
        averages.append(
            {
                "kernels": kernels,
                "error": error,
                "change": fmean(changes),
                "lowest": min(changes),
                "highest": max(changes),
                "misalignment": fmean(row["misalignment"] for row in some),
            }
        )
    return averages
