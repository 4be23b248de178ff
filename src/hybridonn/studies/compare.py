"""The same design trained by several methods on the same seeds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import combinations
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from hybridonn.core.files import write_json, write_table, write_text
from hybridonn.core.progress import Progress, Silent
from hybridonn.distillation.methods import BASELINE, CURE_OF_BEHIND, find_method, rank_method
from hybridonn.pipeline.run_folder import open_folder
from hybridonn.reports.figures.comparison import write_comparison
from hybridonn.reports.statistics import mean_difference, mean_interval
from hybridonn.reports.studies import write_study_report
from hybridonn.spec import Method, Spec, dump_spec
from hybridonn.studies.counts import refuse_count
from hybridonn.studies.engine import map_runs
from hybridonn.studies.rows import name_row, open_rows
from hybridonn.studies.runs import Run, Work
from hybridonn.studies.shared_teacher import (
    SharedTeacher,
    describe_shared_teacher,
    load_images,
    name_values,
    pack_shared_teacher,
    state_method,
    train_shared_teacher,
)
from hybridonn.studies.workers import HERE, Workers
from hybridonn.tasks.task import make_task

STUDY = "compare"
OPEN = "hybridonn.studies.shared_teacher:open_shared_teacher"
DO = "hybridonn.studies.compare:train_student"


def compare(
    spec: Spec,
    methods: tuple[Method, ...],
    seeds: int,
    folder: Path,
    data_root: Path | None = None,
    progress: Progress | None = None,
    workers: Workers = HERE,
) -> dict[str, Any]:
    """Train a design by each method on each seed and compare them in pairs.

    A seed gives every method the same initial weights and the same data order;
    each method trains with what the spec's ``tuned`` says for it. The teacher
    is trained once. Interrupted and called again, it goes on where it was. The
    table keeps the students of all calls with the same spec.

    Args:
        spec: The design.
        methods: What to compare.
        seeds: Seeds 0 to ``seeds - 1``.
        folder: Where students, tables and figure go.
        data_root: Where named data sets lie.
        progress: Shows how far it is.
        workers: Who trains the students.

    Returns:
        What ``comparison.json`` holds: values, means with 95 % intervals and standard
        deviations by method, paired differences with 95 % intervals, and sentences, of the
        methods and seeds that were asked for.

    Raises:
        SpecError: There is no seed, or a method does not fit the spec.
        ArtefactError: The folder holds students of another spec.
    """
    refuse_count("--seeds", seeds)
    progress = progress or Silent()
    task = make_task(spec.task)
    stated = {method: state_method(spec, method) for method in methods}
    with open_folder(folder, spec):
        dataset = load_images(spec, methods, data_root, progress)
        rows = open_rows(folder, STUDY, describe_shared_teacher(spec, dataset, methods))
        write_text(folder / "spec.yaml", dump_spec(spec))
        shared = train_shared_teacher(spec, dataset, folder, progress)
        inputs = pack_shared_teacher(spec, methods, data_root)
        runs = [_list_run(one, seed) for seed in range(seeds) for one in stated.values()]

        def write() -> None:
            write_table(folder / "comparison.csv", _tabulate(rows.values))

        map_runs(Work(STUDY, OPEN, DO, inputs), runs, rows, shared, progress, workers, write)
        keys = [_key(stated[m].with_seed(seed)) for m in methods for seed in range(seeds)]
        comparison = summarise([rows.values[key] for key in keys], task.metric) | {
            "design": spec.name,
            "label": task.label,
            "teacher": shared.teacher.results[task.metric],
        }
        write_json(folder / "comparison.json", comparison)
        write_comparison(folder)
        write_study_report(folder)
    return comparison


def prepare_comparison(
    spec: Spec,
    methods: tuple[Method, ...],
    folder: Path,
    data_root: Path | None,
    progress: Progress,
) -> None:
    """Train the teacher of a comparison and store its targets, which :func:`compare` then finds.

    Args:
        spec: The design.
        methods: What will be compared.
        folder: Folder of the comparison.
        data_root: Where named data sets lie.
        progress: Shows how far it is.

    Raises:
        SpecError: A method does not fit the spec.
        ArtefactError: The folder holds students of another spec.
    """
    with open_folder(folder, spec):
        dataset = load_images(spec, methods, data_root, progress)
        open_rows(folder, STUDY, describe_shared_teacher(spec, dataset, methods))
        train_shared_teacher(spec, dataset, folder, progress)


def _key(spec: Spec) -> str:
    """The key of a student: its seed, its method and what was tuned for that."""
    method = spec.distillation.method
    tuned = spec.tuned.of(method).model_dump(exclude_none=True)
    return name_row(spec.seed, method, tuned)


def _list_run(spec: Spec, seed: int) -> Run:
    """The training of a student."""
    method = spec.distillation.method
    arguments = {"method": method, "seed": seed}
    return Run(_key(spec.with_seed(seed)), f"{method}, seed {seed}", arguments)


def train_student(
    shared: SharedTeacher, arguments: dict[str, Any], progress: Progress
) -> dict[str, Any]:
    """Train a student by the ``method`` and from the ``seed`` of the arguments: its row."""
    method = arguments["method"]
    spec = state_method(shared.spec, method).with_seed(arguments["seed"])
    tuned = spec.tuned.of(method)
    found = shared.train(spec, f"{name_values(method, tuned)}-{spec.seed}", progress)
    return found.results | {"tuned": tuned.model_dump(exclude_none=True)}


def _tabulate(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All students that were ever trained, by method, tuned values and seed."""
    keys = {key: json.loads(key) for key in values}
    groups = [name_row(*told[1:]) for told in keys.values()]  # in the order of their first student

    def rank(key: str) -> tuple[tuple[int, str], int, int]:
        seed, method, tuned = keys[key]
        return rank_method(method), groups.index(name_row(method, tuned)), seed

    return [flatten_row(values[key]) for key in sorted(keys, key=rank)]


def summarise(
    rows: list[dict[str, Any]],
    metric: str,
    varied: str = "method",
    label_of: Callable[[str], str] = lambda method: find_method(method).label,
) -> dict[str, Any]:
    """Means, deviations and paired differences of students.

    Args:
        rows: A student each: its method, or what else is varied, ``seed``, the metric, ``seconds``.
        metric: The key of what is compared.
        varied: The key of what students are compared by.
        label_of: From a value of that key to what tables and figures call it.
    """
    values: dict[str, dict[int, float]] = {}
    for row in rows:
        values.setdefault(row[varied], {})[row["seed"]] = row[metric]
    methods = {
        method: {
            "label": label_of(method),
            "values": list(by_seed.values()),
            **summarise_values(list(by_seed.values())),
            "seconds": fmean(row["seconds"] for row in rows if row[varied] == method),
        }
        for method, by_seed in values.items()
    }
    differences = [
        {"method": b, "baseline": a} | paired_difference(values[b], values[a])
        for a, b in combinations(values, 2)
    ]
    return {
        "metric": metric,
        "seeds": sorted(next(iter(values.values()))),
        "methods": methods,
        "differences": differences,
        "sentences": [
            *(say_difference(one, label_of) for one in differences),
            *(_advise_behind(differences) if varied == "method" else []),
        ],
    }


def _advise_behind(differences: list[dict[str, Any]]) -> list[str]:
    """What to do where distillation is behind the task alone by more than chance."""
    behind = [
        find_method(one["method"]).label
        for one in differences
        if one["baseline"] == BASELINE
        and "kd" in find_method(one["method"]).terms
        and one["high"] is not None
        and one["high"] < 0
    ]
    if not behind:
        return []
    verb = "is" if len(behind) == 1 else "are"
    return [f"{' and '.join(behind)} {verb} behind the task alone: {CURE_OF_BEHIND}"]


def paired_difference(values: dict[int, float], baseline: dict[int, float]) -> dict[str, Any]:
    """Mean difference over the common seeds, with its 95 % interval.

    Student's t on the differences of pairs, see
    :func:`hybridonn.reports.statistics.mean_difference`; with one seed there is no interval.

    Args:
        values: The metric by seed.
        baseline: The same of what it is compared with.
    """
    common = [seed for seed in values if seed in baseline]
    one, other = (np.array([some[seed] for seed in common]) for some in (values, baseline))
    found = mean_difference(one, other)
    return {"mean": found.mean, "low": found.low, "high": found.high, "n": found.pairs}


def summarise_values(values: list[float]) -> dict[str, float | None]:
    """Mean, standard deviation and the mean's 95 % interval; of one value there is no interval.

    Args:
        values: Shares, one a seed.
    """
    if len(values) < 2:
        return {"mean": fmean(values), "standard_deviation": None, "low": None, "high": None}
    low, high = mean_interval(np.array(values))
    return {"mean": fmean(values), "standard_deviation": stdev(values), "low": low, "high": high}


def say_difference(difference: dict[str, Any], label_of: Callable[[str], str]) -> str:
    """A paired difference as a sentence, with its interval and whether it is beyond noise.

    Args:
        difference: What :func:`paired_difference` gives, with ``method`` and ``baseline``.
        label_of: From these two to what the sentence calls them.
    """
    method, baseline = (label_of(difference[key]) for key in ("method", "baseline"))
    head = f"{method} - {baseline}: {100 * difference['mean']:+z.2f} points"
    if difference["low"] is None:
        return f"{head} (one seed: no interval)"
    low, high = 100 * difference["low"], 100 * difference["high"]
    verdict = "" if low > 0 or high < 0 else ", not distinguishable from zero"
    return f"{head} (95 % interval {low:+z.2f} to {high:+z.2f}, {difference['n']} pairs{verdict})"


def flatten_row(row: dict[str, Any]) -> dict[str, Any]:
    """A row of a table of a student's numbers, nested ones by dotted key."""
    nested = {key: value for key, value in row.items() if isinstance(value, dict)}
    flat = {key: value for key, value in row.items() if key not in nested}
    return flat | {f"{key}.{name}": v for key, inner in nested.items() for name, v in inner.items()}
