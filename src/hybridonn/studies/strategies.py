"""Kernels first against end to end, at equal budgets (Direct Kernel Optimization).

A metasurface can be fitted to kernels that were trained without it, or train through the wave
optics together with the electronics. The cost of both is counted in evaluations of point spread
functions (PSFs), forth and back, and in seconds. At a budget of E epochs each sub-optic's PSF is
evaluated as often as E epochs have steps: kernels first in its design, end to end in its training.
End to end from kernels first begins with the design of the spec's own recipe, whose evaluations
come on top. No PSF is cropped to its kernel, but for the variant that shows what cropping claims.

Source of the question: arXiv 2511.02065.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

from hybridonn.core.errors import SpecError
from hybridonn.core.files import write_json, write_table, write_text
from hybridonn.core.progress import Progress, Silent
from hybridonn.data import load_dataset
from hybridonn.data.dataset import Dataset
from hybridonn.pipeline.preflight import refuse_early, refuse_unread
from hybridonn.pipeline.run_folder import open_folder
from hybridonn.reports.figures.strategies import write_strategies
from hybridonn.reports.studies import write_study_report
from hybridonn.spec import Optics, Spec, dump_spec, narrow, validate
from hybridonn.studies.counts import refuse_count, refuse_twice, split_list
from hybridonn.studies.engine import map_runs
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
from hybridonn.studies.strategies_summary import LABELS, summarise
from hybridonn.studies.strategies_work import (
    START,
    count_design_steps,
    count_steps,
    score,
    train_network,
    train_optics,
)
from hybridonn.studies.workers import HERE, Workers
from hybridonn.tasks.task import make_task

STUDY = "study strategies"
OPEN = "hybridonn.studies.strategies:open_strategies"
DO = "hybridonn.studies.strategies:measure_strategy"
MOST_EPOCHS = 10_000


def study_strategies(
    spec: Spec,
    epochs: tuple[int, ...],
    variants: tuple[str, ...],
    seeds: int,
    folder: Path,
    data_root: Path | None = None,
    progress: Progress | None = None,
    workers: Workers = HERE,
) -> dict[str, Any]:
    """Train and design the same system by each strategy, at equal budgets, on the same seeds.

    Interrupted and called again, it goes on where it was.

    Args:
        spec: The design, with ideal kernels; the authors' chip if it states no metasurface.
        epochs: Budgets, in epochs of training end to end.
        variants: What to compare, of :data:`hybridonn.studies.strategies_summary.LABELS`.
        seeds: Seeds 0 to ``seeds - 1``.
        folder: Where students, designs, tables and figure go.
        data_root: Where named data sets lie.
        progress: Shows how far it is.
        workers: Who trains and designs.

    Returns:
        What ``strategies.json`` holds: for each variant and budget the metric with its interval,
        what cropped PSFs would have claimed, seconds and PSF evaluations; paired differences.

    Raises:
        SpecError: There is no seed, or the design has no metasurface, or a budget is too small.
        ArtefactError: The folder holds rows of another spec.
    """
    refuse_count("--seeds", seeds)
    progress = progress or Silent()
    whole = state_strategies(spec)
    with open_folder(folder, whole):
        refuse_unread(whole)
        dataset = load_dataset(whole.data, data_root, progress)
        refuse_early(whole, dataset)
        for count in epochs:
            count_design_steps(whole, dataset, count)
        rows = open_rows(folder, STUDY, _describe(whole, dataset))
        write_text(folder / "spec.yaml", dump_spec(whole))
        shared = train_shared_teacher(whole, dataset, folder, progress)
        inputs = pack_shared_teacher(whole, (whole.distillation.method,), data_root)
        runs = [
            _list_run(variant, count, seed)
            for seed in range(seeds)
            for count in epochs
            for variant in variants
        ]

        def write() -> None:
            write_table(folder / "strategies.csv", _tabulate(rows.values))

        map_runs(Work(STUDY, OPEN, DO, inputs), runs, rows, shared, progress, workers, write)
        task = make_task(whole.task)
        found = summarise([rows.values[run.key] for run in runs], task.metric, task.label)
        found |= {"design": whole.name, "pillars": _say_pillars(whole)}
        write_json(folder / "strategies.json", found)
        write_strategies(folder)
        write_study_report(folder)
    return found


def parse_variants(text: str) -> tuple[str, ...]:
    """Variants separated by commas, each once.

    Raises:
        SpecError: One is unknown, named twice, or empty.
    """
    allowed = f"any of {', '.join(LABELS)}, with commas"
    names = split_list("--variants", text, allowed)
    for name in names:
        if name not in LABELS:
            raise SpecError(f"--variants {text[:80]}: {name!r} is not known; allowed is {allowed}")
    return tuple(names)


def parse_epochs(text: str) -> tuple[int, ...]:
    """Budgets separated by commas, each once, as numbers of epochs.

    Raises:
        SpecError: One is no number from 1 up, or named twice.
    """
    allowed = f"whole numbers from 1 to {MOST_EPOCHS:,}, with commas"
    words = split_list("--epochs", text, allowed)
    for word in words:
        if not (word.isdecimal() and len(word) < 6 and 1 <= int(word) <= MOST_EPOCHS):
            raise SpecError(f"--epochs {text[:80]}: {word!r} is not allowed; allowed are {allowed}")
    numbers = sorted(map(int, words))
    refuse_twice("--epochs", numbers)
    return tuple(numbers)


def state_strategies(spec: Spec) -> Spec:
    """The spec that all variants are made of: with a metasurface, fitted to trained kernels.

    Raises:
        SpecError: Its optics take no metasurface, or it trains behind simulated chips.
    """
    if spec.distillation.robust:
        raise SpecError(
            "distillation.robust is true, which trains behind simulated chips; set it to false to "
            "compare strategies of design"
        )
    bare = spec.for_method(spec.distillation.method)
    bare = bare.model_copy(update={"fabrication": None, "compensation": None}).with_metasurface()
    optics = bare.optics.model_copy(update={"strategy": "kernels-first"})
    return validate(bare.model_copy(update={"optics": optics}).model_dump(), spec.name)


def open_strategies(inputs: dict[str, Any], folder: Path) -> Opened:
    """What a worker shares between variants: the teacher that the study has trained."""
    shared, _ = open_shared_teacher(inputs, folder)
    return shared, _describe(shared.spec, shared.dataset)


def measure_strategy(
    shared: SharedTeacher, arguments: dict[str, Any], progress: Progress
) -> dict[str, Any]:
    """Design or train the ``variant`` for so many ``epochs`` from the ``seed``: its row."""
    variant, epochs, seed = (arguments[name] for name in ("variant", "epochs", "seed"))
    spec = shared.spec.with_seed(seed)
    start = START[variant](shared, spec, epochs, progress)
    begun = perf_counter()
    evaluations = 0
    if variant == "refit":
        train_network(shared, spec, start.network, variant, epochs, progress)
    elif variant != "kernels_first":
        start = train_optics(shared, spec, start, epochs, variant, progress)
        evaluations = epochs * count_steps(spec, shared.dataset)
    seconds = start.seconds + perf_counter() - begun
    sub_optics = 2 * spec.student.kernels
    return {
        "variant": variant,
        "epochs": epochs,
        "seed": seed,
        **score(shared.dataset, spec, start),
        "seconds": round(seconds, 4),
        "evaluations": sub_optics * (start.evaluations + evaluations),
    }


def _describe(whole: Spec, dataset: Dataset) -> dict[str, Any]:
    described = describe_shared_teacher(whole, dataset, (whole.distillation.method,))
    told = describe_section(narrow(whole, "optics", "distillation.method"))
    return described | told


def _list_run(variant: str, epochs: int, seed: int) -> Run:
    arguments = {"variant": variant, "epochs": epochs, "seed": seed}
    return Run(
        name_row(variant, epochs, seed), f"{variant}, {epochs} epochs, seed {seed}", arguments
    )


def _tabulate(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All rows that were ever measured, by variant, budget and seed."""
    order = list(LABELS)
    return sorted(
        values.values(), key=lambda row: (order.index(row["variant"]), row["epochs"], row["seed"])
    )


def _say_pillars(spec: Spec) -> str:
    """How large a sub-optic is beside that of the authors, along its side."""
    share = spec.optics.kernel_site_mm / Optics().kernel_site_mm
    return f"{spec.optics.kernel_site_mm:g} mm, {100 * share:.3g} % of the authors' sub-optic"
