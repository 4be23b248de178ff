"""Fixed random kernels with one trained dense head: table 5 of the paper.

K random kernels, ReLU, pooling and one dense layer, which is fitted in closed form to
one-hot classes (ridge regression; the penalty has the least squared error on the
validation images). Infinitely many kernels are the regression with the NNGP kernel of
the same layers.

With F = K C values behind the pooling, a fit of up to ``PRIMAL`` values solves the F x F
normal equations, added up in blocks of images. Beyond it, the images are reduced to
``landmarks`` training images (subset of regressors, as in
:mod:`hybridonn.estimation.ridge`); where the training images are no more than those,
the regression is exact in either form.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from hybridonn.core.errors import SpecError
from hybridonn.core.files import write_json, write_table, write_text
from hybridonn.core.progress import Progress, Silent
from hybridonn.core.random import generator_of
from hybridonn.data import load_dataset
from hybridonn.data.batches import to_scene
from hybridonn.data.dataset import Dataset, ImageSet
from hybridonn.estimation import Settings, estimate_accuracy, infinite_random_kernels
from hybridonn.estimation.design_kernel import columns_within
from hybridonn.estimation.finite import Optical, draw_optical, optical_features
from hybridonn.estimation.penalty import LAMBDAS, choose_lambda
from hybridonn.estimation.ridge import System, build_system, one_hot, predict, solve_system
from hybridonn.networks.student import check_fit
from hybridonn.pipeline.run_folder import open_folder
from hybridonn.pipeline.stage import Context, Stage, complete
from hybridonn.reports.figures.random_kernels import write_random_kernels
from hybridonn.spec import Spec, dump_spec, narrow
from hybridonn.studies.compare import summarise_values
from hybridonn.studies.counts import MOST_KERNELS, refuse_count, refuse_twice, split_list
from hybridonn.studies.engine import map_runs
from hybridonn.studies.inputs import pack_inputs, unpack_root, unpack_spec
from hybridonn.studies.rows import name_row, open_rows
from hybridonn.studies.runs import Opened, Run, Work
from hybridonn.studies.settings import describe_settings
from hybridonn.studies.workers import HERE, Workers
from hybridonn.tasks.task import make_task

# Xiang et al. 2025, table 5, in per cent: 8, 500, 1000 and infinitely many kernels.
PAPER: dict[str, dict[str, float]] = {
    "mnist": {"8": 96.12, "500": 96.81, "1000": 97.24, "infinite": 97.72},
    "cifar10": {"8": 36.73, "500": 49.32, "1000": 56.23, "infinite": 67.33},
}
STUDY = "study random-kernels"
OPEN = "hybridonn.studies.random_kernels:open_draws"
DO = "hybridonn.studies.random_kernels:measure_draw"
INFINITE = "infinite"
PRIMAL = 6000  # values behind the pooling up to which the normal equations are solved
LANDMARKS = 8192
BLOCK = 1024  # images whose values are held at once


def random_kernels(
    spec: Spec,
    counts: tuple[int, ...],
    seeds: int,
    folder: Path,
    data_root: Path | None = None,
    progress: Progress | None = None,
    *,
    infinite: bool = True,
    workers: Workers = HERE,
) -> dict[str, Any]:
    """Accuracy with fixed random kernels and a trained head, beside the paper's.

    Each number of kernels is drawn anew for each seed; infinitely many need no seed.
    Interrupted and called again, it goes on where it was. The table keeps the draws of all calls
    with the same spec.

    Args:
        spec: Data (``data.train_images``: how many), kernel size, stride, pooling,
            ``estimate.memory_gb``, ``estimate.features`` of infinitely many.
        counts: Numbers of kernels.
        seeds: Seeds 0 to ``seeds - 1``.
        folder: Where tables and figure go.
        data_root: Where named data sets lie.
        progress: Shows how far it is.
        infinite: Whether to compute the column of infinitely many as well.
        workers: Who measures.

    Returns:
        What ``random_kernels.json`` holds, of the numbers and seeds that were asked for.

    Raises:
        SpecError: There is no seed, a number of kernels that cannot be, or not the memory.
        ArtefactError: The folder holds draws of another spec.
    """
    _check(spec, counts, seeds, infinite)
    progress = progress or Silent()
    with open_folder(folder, spec):
        dataset = load_dataset(spec.data, data_root, progress)
        _refuse_early(spec, dataset, counts, infinite)
        rows = open_rows(folder, STUDY, _describe(spec, dataset))
        write_text(folder / "spec.yaml", dump_spec(spec))
        asked = [(str(count), seed) for count in counts for seed in range(seeds)]
        asked += [(INFINITE, 0)] if infinite else []

        def write() -> None:
            write_table(folder / "random_kernels.csv", _tabulate(rows.values))

        work = Work(STUDY, OPEN, DO, pack_inputs(spec, data_root))
        listed = [_list_run(spec, name, seed) for name, seed in asked]
        map_runs(work, listed, rows, Draws(spec, dataset, folder), progress, workers, write)
        runs = [rows.values[run.key] for run in listed]
        table = {
            "name": dataset.name,
            "train_images": len(dataset.student_train),
            "test_images": len(dataset.test),
            "kernel_size": spec.student.kernel_size,
            "pooled_size": spec.student.pooled_size,
            "columns": [_column(runs, name, dataset.name) for name in dict.fromkeys(_names(runs))],
        }
        write_json(folder / "random_kernels.json", table)
        write_random_kernels(folder)
    return table


def parse_counts(text: str) -> tuple[tuple[int, ...], bool]:
    """Numbers of kernels separated by commas, and whether ``infinite`` is among them.

    Raises:
        SpecError: A word is neither a number nor ``infinite``, or nothing is asked for.
    """
    allowed = f"numbers from 1 up and {INFINITE}, with commas"
    words = split_list("--kernels", text, allowed)
    counts = [word for word in words if word != INFINITE]
    if not all(word.isdecimal() and len(word) < 20 for word in counts):
        raise SpecError(f"--kernels {text[:80]}: allowed are {allowed}")
    for word in counts:
        refuse_count("--kernels", int(word), MOST_KERNELS)
    numbers = tuple(int(word) for word in counts)
    refuse_twice("--kernels", numbers)
    return numbers, INFINITE in words


def fit_head(
    optical: Optical, dataset: Dataset, memory_gb: float, progress: Progress | None = None
) -> dict[str, Any]:
    """Accuracy of one dense layer behind fixed kernels.

    Args:
        optical: The kernels.
        dataset: Images, split.
        memory_gb: Memory for kernels and solves, GB (10^9 bytes).
        progress: Shows how far it is.

    Returns:
        ``accuracy`` (test), ``validation_accuracy``, ``lambda`` and ``method``.
    """
    train = dataset.student_train
    order = torch.randperm(len(train), generator=generator_of("landmarks", len(train)))
    parts = (train.take(order), dataset.validation, dataset.test)
    if optical.features <= PRIMAL:
        kernels = [_values(optical, part) for part in parts]
        # Landmarks whose own kernel is s 1 put the penalty lambda s^2 on the coefficients;
        # this s makes it lambda times the kernel's mean diagonal, as in the other forms.
        scale = math.sqrt(float(kernels[0].square().sum(1).mean()))
        method, landmarks = "normal equations", scale * torch.eye(optical.features)
    else:
        count = len(parts[0])
        rows = count + len(parts[1]) + len(parts[2])
        columns = columns_within(rows, memory_gb, LANDMARKS, count)
        kernels = _grams(optical, parts, columns, progress)
        landmarks = None
        method = f"exact on {count} images" if columns == count else f"{columns} landmarks"
    classes = len(dataset.classes)
    system = build_system(kernels[0], one_hot(parts[0].labels, classes), landmarks)
    return _score(system, kernels, parts) | {"method": method}


def _score(
    system: System, kernels: list[Tensor], parts: tuple[ImageSet, ImageSet, ImageSet]
) -> dict[str, Any]:
    lambda_ = choose_lambda(
        system, kernels[1], parts[1].labels, LAMBDAS, lambda steps=1, note="": None
    )
    ridge = solve_system(system, lambda_)
    validation, test = (
        float((predict(ridge, kernel).argmax(1) == part.labels).double().mean())
        for kernel, part in zip(kernels[1:], parts[1:], strict=True)
    )
    return {"accuracy": test, "validation_accuracy": validation, "lambda": lambda_}


def _values(optical: Optical, part: ImageSet) -> Tensor:
    blocks = [optical_features(optical, to_scene(some))[0] for some in part.images.split(BLOCK)]
    return torch.cat(blocks)


def _grams(
    optical: Optical,
    parts: tuple[ImageSet, ImageSet, ImageSet],
    columns: int,
    progress: Progress | None,
) -> list[Tensor]:
    """Kernels (N, M) to the first training images, added up kernel block by kernel block."""
    each = max(1, PRIMAL // optical.block.cells)
    grams = [torch.zeros(len(part), columns) for part in parts]
    chunks = optical.kernels.split(each)
    with (progress or Silent()).bar(f"{len(optical.kernels)} kernels", len(chunks)) as advance:
        for kernels in chunks:
            some = replace(optical, kernels=kernels)
            basis = _values(some, parts[0].take(torch.arange(columns)))
            for gram, part in zip(grams, parts, strict=True):
                for start in range(0, len(part), BLOCK):
                    block = to_scene(part.images[start : start + BLOCK])
                    made = optical_features(some, block)[0]
                    gram[start : start + BLOCK].addmm_(made, basis.T)
            advance()
    return grams


def _key(spec: Spec, name: str, seed: int) -> str:
    """The key of a draw; infinitely many kernels are sampled by a number of features."""
    return name_row(name, seed, spec.estimate.features if name == INFINITE else None)


@dataclass(frozen=True)
class Draws:
    """What all draws of the study share.

    Attributes:
        spec: Spec of the study.
        dataset: The images.
        folder: Folder of the study.
    """

    spec: Spec
    dataset: Dataset
    folder: Path


def open_draws(inputs: dict[str, Any], folder: Path) -> Opened:
    """What a worker shares between draws."""
    spec = unpack_spec(inputs)
    dataset = load_dataset(spec.data, unpack_root(inputs), Silent())
    return Draws(spec, dataset, folder), _describe(spec, dataset)


def _describe(spec: Spec, dataset: Dataset) -> dict[str, Any]:
    return describe_settings((DRAW,), spec, dataset, ("student.kernels",))


def _list_run(spec: Spec, name: str, seed: int) -> Run:
    arguments = {"kernels": name, "seed": seed}
    return Run(_key(spec, name, seed), f"{name} kernels, seed {seed}", arguments)


def measure_draw(shared: Draws, arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Measure a draw of ``kernels`` from a ``seed``: its row."""
    name, seed, spec = arguments["kernels"], arguments["seed"], shared.spec
    draw = DRAW.with_options(kernels=int(name), seed=seed) if name != INFINITE else LIMIT
    place = shared.folder / "draws" / f"{name}-{seed}"
    found = complete(draw, spec, shared.dataset, {}, place, progress).results
    sampled = {"features": spec.estimate.features} if name == INFINITE else {}
    return {"kernels": name, "seed": seed} | sampled | found


def _tabulate(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All draws that were ever made, by number of kernels and seed."""

    def rank(row: dict[str, Any]) -> tuple[bool, int, int]:
        infinite = row["kernels"] == INFINITE
        return infinite, row["features"] if infinite else int(row["kernels"]), row["seed"]

    return sorted(values.values(), key=rank)


def _draw(context: Context) -> dict[str, Any]:
    """The accuracy of one draw of kernels."""
    started = perf_counter()
    spec, dataset = context.spec, context.dataset
    student = spec.student.model_copy(update={"kernels": context.options["kernels"]})
    optical = draw_optical(student, dataset.image_shape, context.options["seed"])
    found = fit_head(optical, dataset, spec.estimate.memory_gb, context.progress)
    return found | {"seconds": round(perf_counter() - started, 2)}


def _take_limit(context: Context) -> dict[str, Any]:
    """The accuracy of infinitely many kernels."""
    started = perf_counter()
    spec, dataset = context.spec, context.dataset
    train, held, test = dataset.student_train, dataset.validation, dataset.test
    found = estimate_accuracy(
        infinite_random_kernels(spec.student.kernel_size, spec.student.pooled_size),
        to_scene(train.images),
        train.labels,
        to_scene(test.images),
        test.labels,
        validation=(to_scene(held.images), held.labels),
        settings=Settings(
            memory_gb=spec.estimate.memory_gb,
            features=spec.estimate.features,
            curve_sizes=(),
            train_resamples=0,
            seed=0,
        ),
        progress=context.progress,
        folder=context.part / "checkpoint_tiles",
    )
    return {
        "accuracy": found.accuracy,
        "uncertainty": found.uncertainty,
        "lambda": found.lambda_,
        "method": found.method,
        "seconds": round(perf_counter() - started, 2),
    }


DRAW = Stage("random kernels", lambda spec: narrow(spec, "student", "estimate.memory_gb"), _draw)
LIMIT = Stage(
    "infinitely many random kernels",
    lambda spec: narrow(spec, "student", "estimate.memory_gb", "estimate.features"),
    _take_limit,
)


def _column(runs: list[dict[str, Any]], name: str, dataset: str) -> dict[str, Any]:
    some = [run for run in runs if run["kernels"] == name]
    values = [run["accuracy"] for run in some]
    return {
        "kernels": name,
        "values": values,
        **summarise_values(values),
        "paper": PAPER.get(dataset, {}).get(name),
        "method": some[0]["method"],
        "seconds": fmean(run["seconds"] for run in some),
    }


def _names(runs: list[dict[str, Any]]) -> list[str]:
    return [run["kernels"] for run in runs]


def _check(spec: Spec, counts: tuple[int, ...], seeds: int, infinite: bool) -> None:
    if "infinite" not in make_task(spec.task).estimates:
        raise SpecError(
            f"task is {spec.task}, but this study fits a head that names classes; use a spec "
            "whose task is classification"
        )
    refuse_count("--seeds", seeds)
    if not (counts or infinite) or min(counts, default=1) < 1 or len(set(counts)) < len(counts):
        listed = ",".join(map(str, counts))
        raise SpecError(f"--kernels {listed}: allowed are numbers from 1 up, each once")


def _refuse_early(spec: Spec, dataset: Dataset, counts: tuple[int, ...], infinite: bool) -> None:
    """Refuse what would be found only after other draws were fitted.

    Raises:
        SpecError: The kernels or the pooling do not fit the images, or a regression has not the
            memory that it needs.
    """
    check_fit(spec.student, dataset.image_shape)
    rows = sum(map(len, (dataset.student_train, dataset.validation, dataset.test)))
    large = infinite
    for count in counts:
        student = spec.student.model_copy(update={"kernels": count})
        large |= draw_optical(student, dataset.image_shape, 0).features > PRIMAL
    if large:
        columns_within(rows, spec.estimate.memory_gb, LANDMARKS, len(dataset.student_train))
