"""Does the estimate rank designs as training ranks them?"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import numpy as np

from hybridonn.core.errors import SpecError
from hybridonn.core.files import write_json, write_table, write_tensors, write_text
from hybridonn.core.progress import Progress, Silent
from hybridonn.data import load_dataset
from hybridonn.data.dataset import Dataset
from hybridonn.data.splits import thin
from hybridonn.distillation.class_weights import make_trained_task
from hybridonn.distillation.loss import Objective
from hybridonn.distillation.methods import BASELINE
from hybridonn.distillation.training import TrainingSetup, predict, train
from hybridonn.estimation import architecture_of
from hybridonn.networks.frontends.table import FRONTENDS
from hybridonn.networks.hybrid import count_parameters
from hybridonn.networks.student import build_student
from hybridonn.pipeline.preflight import refuse_augmentation, refuse_dataset
from hybridonn.pipeline.run_folder import open_folder
from hybridonn.pipeline.stage import Context, Stage, complete
from hybridonn.pipeline.stages.estimate import ESTIMATE, refuse_unestimated
from hybridonn.reports.figures.ranking import write_ranking
from hybridonn.reports.statistics import mean_difference, share_interval
from hybridonn.reports.studies import write_study_report
from hybridonn.spec import Spec, Student, dump_spec, narrow
from hybridonn.studies.counts import refuse_count, split_list
from hybridonn.studies.designs import VARIED, DesignPoint, spread_designs
from hybridonn.studies.engine import map_runs
from hybridonn.studies.inputs import pack_inputs, unpack_root, unpack_spec
from hybridonn.studies.rank_correlation import correlate
from hybridonn.studies.ranking_cost import choose_pilot, say_cost
from hybridonn.studies.rows import name_row, open_rows
from hybridonn.studies.runs import Opened, Run, Work
from hybridonn.studies.settings import describe_settings
from hybridonn.studies.similarity import measure_similarities, summarise_similarities
from hybridonn.studies.workers import HERE, Workers
from hybridonn.tasks.task import make_task

Kernels = Literal["design", "infinite"]
STUDY = "study ranking"
OPEN = "hybridonn.studies.ranking:open_bench"
DO = "hybridonn.studies.ranking:measure_design"
KERNELS: tuple[Kernels, ...] = ("design", "infinite")
VALIDATION = 1000  # validation images that choose the epoch: each epoch looks at all of them


@dataclass(frozen=True)
class Bench:
    """What all designs of the study share.

    Attributes:
        spec: Spec of the study.
        dataset: Images; estimates and students are tested on the same ones.
        folder: Folder of the study.
    """

    spec: Spec
    dataset: Dataset
    folder: Path

    def estimate(self, design: DesignPoint, kernels: Kernels, progress: Progress) -> dict[str, Any]:
        """Estimate a design before any training."""
        settings = self.spec.estimate.model_copy(update={"kernels": kernels})
        spec = self.spec.model_copy(update={"student": design.student, "estimate": settings})
        folder = self.folder / "estimates" / kernels / design.name
        return complete(ESTIMATE, spec, self.dataset, {}, folder, progress).results

    def train(self, design: DesignPoint, seed: int, progress: Progress) -> dict[str, Any]:
        """Train a design on the task alone."""
        spec = self.spec.model_copy(update={"student": design.student, "seed": seed})
        folder = self.folder / "students" / f"{design.name}-{seed}"
        found = complete(ALONE, spec, self.dataset, {}, folder, progress)
        return found.results | {"design": _list_varied(design)}


def rank(
    spec: Spec,
    designs: int,
    seeds: int,
    kernels: tuple[Kernels, ...],
    folder: Path,
    data_root: Path | None = None,
    progress: Progress | None = None,
    workers: Workers = HERE,
    *,
    similar: bool = False,
) -> dict[str, Any]:
    """Estimate and train designs that spread out, and compare the two accuracies.

    Every design is estimated, then trained on the task alone with the training of the
    spec, from each seed; both are tested on the images that ``estimate.test_images`` states.
    A design of middle size is the first, and what its estimates cost is said before the others.
    Interrupted and called again, it goes on where it was. The table keeps the designs of all
    calls with the same spec.

    Args:
        spec: Data, training, estimate, and what the designs have in common; its seed gives
            the list of designs, 0 the one that the estimate's form was chosen on.
        designs: How many, see :func:`hybridonn.studies.designs.spread_designs`.
        seeds: Seeds 0 to ``seeds - 1`` of each design's training; the mean counts.
        kernels: Which estimates: "design", "infinite" or both.
        folder: Where students, estimates, tables and figure go.
        data_root: Where named data sets lie.
        progress: Shows how far it is.
        workers: Who estimates and trains.
        similar: Whether the designs are ranked by the similarity of their kernels to the
            teacher's as well.

    Returns:
        What ``ranking.json`` holds, of the designs, seeds and estimates that were asked for.

    Raises:
        SpecError: There is no seed, a number of designs that cannot be, or one that cannot be
            built, trained or estimated.
        ArtefactError: The folder holds designs of another spec.
    """
    refuse_count("--seeds", seeds)
    progress = progress or Silent()
    spec = spec.for_method(BASELINE)
    with open_folder(folder, spec):
        dataset = _choose_images(spec, load_dataset(spec.data, data_root, progress))
        chosen = spread_designs(spec.student, dataset.image_shape, designs, spec.seed)
        _refuse_early(spec, chosen, kernels, dataset)
        table = open_rows(folder, STUDY, _describe(spec, dataset))
        write_text(folder / "spec.yaml", dump_spec(spec))
        metric = make_task(spec.task).metric

        def write() -> None:
            write_table(folder / "ranking.csv", _tabulate(table.values, metric))

        work = Work(STUDY, OPEN, DO, pack_inputs(spec, data_root))
        bench = Bench(spec, dataset, folder)
        pilot = choose_pilot(chosen)
        first = _list_runs(pilot, seeds, kernels)
        map_runs(work, first, table, bench, progress, workers, write)
        for line in say_cost(table.values, pilot, kernels, seeds, designs):
            progress.say(line)
        runs = [run for one in chosen for run in _list_runs(one, seeds, kernels)]
        map_runs(work, runs, table, bench, progress, workers, write)
        rows = [
            _read_row(table.values, design.name, metric, range(seeds), kernels) for design in chosen
        ]
        ranking = summarise(rows, kernels) | {
            "name": spec.name,
            "train_images": len(dataset.student_train),
            "test_images": len(dataset.test),
            "seeds": seeds,
            "designs_seed": spec.seed,
        }
        if similar:
            found = measure_similarities(
                spec, chosen, folder / "similarity", data_root, progress, workers
            )
            ranking |= {"similarity": summarise_similarities(rows, found)}
        write_json(folder / "ranking.json", ranking)
        write_ranking(folder)
        write_study_report(folder)
    return ranking


def parse_kernels(text: str) -> tuple[Kernels, ...]:
    """Kinds of estimates separated by commas, each once.

    Raises:
        SpecError: A kind is unknown or named twice.
    """
    names = split_list("--kernels", text, f"any of {', '.join(KERNELS)}, with commas")
    chosen: tuple[Kernels, ...] = tuple(kind for kind in KERNELS if kind in names)
    if len(chosen) != len(names):
        raise SpecError(
            f"--kernels {text}: allowed is any of {', '.join(KERNELS)}, each once, with commas"
        )
    return chosen


def _train_alone(context: Context) -> dict[str, Any]:
    """Train a student on the task alone, without teacher.

    Raises:
        SpecError: The design does not fit the images.
        TrainingError: The loss is not finite.
    """
    spec, dataset = context.spec, context.dataset
    student = build_student(
        spec.student, dataset.image_shape, len(dataset.classes), spec.seed, spec.optics, spec.task
    )
    labels, classes = dataset.student_train.labels, len(dataset.classes)
    task = make_trained_task(spec.task, spec.training, labels, classes)
    setup = TrainingSetup(
        Objective(task),
        dataset.student_train,
        dataset.validation,
        spec.training,
        spec.seed,
        f"training (seed {spec.seed})",
    )
    history = train(student, setup, context.part / "checkpoint.safetensors", context.progress)
    logits = predict(student, dataset.test.images)
    write_tensors(context.part / "weights.safetensors", student.state_dict())
    return {
        task.metric: float(task.score(logits, dataset.test.labels).mean()),
        "seconds": round(sum(row["seconds"] for row in history), 3),
        "parameters": count_parameters(student),
    }


ALONE = Stage(
    "student alone",
    lambda spec: narrow(
        spec,
        *("task", "seed", "student", "training", "optics.frontend"),
        *FRONTENDS[spec.frontend].reads,
    ),
    _train_alone,
)


def _choose_images(spec: Spec, dataset: Dataset) -> Dataset:
    """The data set with fewer validation images, and the estimate's test images for all."""
    seed = spec.data.split_seed
    validation, test = (
        dataset.task.stratify(part.labels, dataset.classes)
        for part in (dataset.validation, dataset.test)
    )
    few = thin(dataset.validation, validation, VALIDATION, seed)
    test = thin(dataset.test, test, spec.estimate.test_images, seed)
    return dataset.with_part("validation", few).with_part("test", test)


def _refuse_early(
    spec: Spec, designs: tuple[DesignPoint, ...], kernels: tuple[Kernels, ...], dataset: Dataset
) -> None:
    """Refuse what would be found only after other designs were measured.

    Raises:
        SpecError: See :func:`rank`.
    """
    for kind in kernels:
        settings = spec.estimate.model_copy(update={"kernels": kind})
        refuse_unestimated(spec.model_copy(update={"estimate": settings}))
    if spec.student.branches:
        raise SpecError(
            "student.branches is set, but this study varies one layer of kernels; leave it out"
        )
    refuse_dataset(spec, dataset)
    refuse_augmentation(spec, dataset.image_shape)
    for design in designs:
        build_student(
            design.student,
            dataset.image_shape,
            len(dataset.classes),
            spec.seed,
            spec.optics,
            spec.task,
        )
        if "infinite" in kernels:
            architecture_of(design.student, max_pooling="average")


def open_bench(inputs: dict[str, Any], folder: Path) -> Opened:
    """What a worker shares between designs."""
    spec = unpack_spec(inputs)
    dataset = _choose_images(spec, load_dataset(spec.data, unpack_root(inputs), Silent()))
    return Bench(spec, dataset, folder), _describe(spec, dataset)


def _describe(spec: Spec, dataset: Dataset) -> dict[str, Any]:
    varied = ("seed", "estimate.kernels", *(f"student.{name}" for name in VARIED))
    return describe_settings((ESTIMATE, ALONE), spec, dataset, varied)


def _list_varied(design: DesignPoint) -> dict[str, Any]:
    return {name: getattr(design.student, name) for name in VARIED}


def _list_runs(design: DesignPoint, seeds: int, kernels: tuple[Kernels, ...]) -> list[Run]:
    """The estimates of a design, then its trainings."""
    asked: list[tuple[str, str | int]] = [("estimate", kind) for kind in kernels]
    asked += [("trained", seed) for seed in range(seeds)]
    return [
        Run(
            name_row(what, design.name, which),
            f"{design.name}, {what} {which}",
            {"what": what, "which": which, "name": design.name, "varied": _list_varied(design)},
        )
        for what, which in asked
    ]


def measure_design(bench: Bench, arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Estimate a design by one kind of kernels, or train it from one seed: its row."""
    student = Student.model_validate(bench.spec.student.model_dump() | arguments["varied"])
    design, which = DesignPoint(arguments["name"], student), arguments["which"]
    if arguments["what"] == "estimate":
        return bench.estimate(design, which, progress)
    return bench.train(design, which, progress)


def _tabulate(measured: Mapping[str, Any], metric: str) -> list[dict[str, Any]]:
    """All designs that were ever trained, each over all its seeds, with all its estimates."""
    found: dict[str, tuple[list[int], list[Kernels]]] = {}
    for what, name, which in map(json.loads, measured):
        found.setdefault(name, ([], []))[what == "estimate"].append(which)
    return [
        _read_row(measured, name, metric, seeds, kinds)
        for name, (seeds, kinds) in found.items()
        if seeds
    ]


def _read_row(
    measured: Mapping[str, Any],
    name: str,
    metric: str,
    seeds: Iterable[int],
    kernels: Iterable[Kernels],
) -> dict[str, Any]:
    """One design: what it is, what it reaches, and its estimates with 95 % intervals."""
    students = [measured[name_row("trained", name, seed)] for seed in seeds]
    varied = students[0]["design"]
    row: dict[str, Any] = {
        "name": name,
        **varied,
        "hidden": "x".join(map(str, varied["hidden"])),
        "parameters": students[0]["parameters"],
        "trained": fmean(one[metric] for one in students),
        "trained_low": min(one[metric] for one in students),
        "trained_high": max(one[metric] for one in students),
        "trained_seconds": fmean(one["seconds"] for one in students),
        "seeds": len(students),
    }
    for kind in kernels:
        found = measured[name_row("estimate", name, kind)]
        row[kind] = found[metric]
        row[f"{kind}_uncertainty"] = found["uncertainty"]
        ends = share_interval(found[metric], found["uncertainty"], found["test_images"])
        row[f"{kind}_low"], row[f"{kind}_high"] = ends
        row[f"{kind}_seconds"] = found["seconds"]
    return row


def summarise(rows: list[dict[str, Any]], kernels: tuple[Kernels, ...]) -> dict[str, Any]:
    """Rank correlation, errors and cost of each kind of estimate, with 95 % intervals.

    The intervals are of the choice of designs, see
    :func:`hybridonn.reports.statistics.rank_interval`: other designs could have been drawn.

    Args:
        rows: A design each, as in ``ranking.csv``.
        kernels: Which estimates they hold.
    """
    trained = np.array([row["trained"] for row in rows])
    seconds = sum(row["trained_seconds"] for row in rows)
    estimates: dict[str, Any] = {}
    for kind in kernels:
        found = np.array([row[kind] for row in rows])
        bias = mean_difference(found, trained)
        estimates[kind] = {
            **correlate(found, trained),
            "mean_error_points": 100 * float(np.abs(found - trained).mean()),
            "bias_points": 100 * bias.mean,
            "bias_points_low": None if bias.low is None else 100 * bias.low,
            "bias_points_high": None if bias.high is None else 100 * bias.high,
            # What a designer loses who builds the design with the highest estimate.
            "regret_points": 100 * float(trained.max() - trained[found.argmax()]),
            "time_share": sum(row[f"{kind}_seconds"] for row in rows) / seconds,
        }
    span = {"trained_low": float(trained.min()), "trained_high": float(trained.max())}
    return {"designs": rows, "estimates": estimates, "trained_seconds": seconds} | span
