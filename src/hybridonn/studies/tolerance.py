"""Monte Carlo over simulated chips: accuracy before and after compensation, yield, culprits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch

from hybridonn.compensation.evaluation import compute_logits
from hybridonn.compensation.settings import stated_compensation
from hybridonn.core.errors import SpecError
from hybridonn.core.files import write_json, write_table, write_text
from hybridonn.core.progress import Progress, Silent
from hybridonn.data.dataset import Dataset
from hybridonn.optics.fabrication.table import BY_KEY
from hybridonn.pipeline.compensate import Trained, open_trained
from hybridonn.pipeline.run_folder import open_folder
from hybridonn.pipeline.stage import Context, Stage, complete
from hybridonn.pipeline.stages.compensated import PLAIN_COMPENSATED
from hybridonn.pipeline.stages.fabricated import make_chip, narrow_chip, stated
from hybridonn.pipeline.stages.metasurface import METASURFACE
from hybridonn.pipeline.stages.student import STUDENT
from hybridonn.reports.artefacts.predictions import read_predictions
from hybridonn.reports.figures.tolerance import write_tolerance
from hybridonn.reports.statistics import wilson_interval
from hybridonn.reports.studies import write_study_report
from hybridonn.spec import Fabrication, Spec, dump_spec
from hybridonn.spec.consistency import name_design
from hybridonn.spec.fabrication import ERRORS
from hybridonn.studies.counts import refuse_count
from hybridonn.studies.engine import map_runs
from hybridonn.studies.few_captures import refuse_few_captures
from hybridonn.studies.inputs import pack_inputs, unpack_root, unpack_spec
from hybridonn.studies.rows import Rows, name_row, open_rows
from hybridonn.studies.runs import Opened, Run, Work
from hybridonn.studies.settings import describe_settings
from hybridonn.studies.workers import HERE, Workers
from hybridonn.tasks.task import make_task

STUDY = "tolerance"
OPEN = "hybridonn.studies.tolerance:open_chips"
DO = "hybridonn.studies.tolerance:measure_chip"
ALONE_IMAGES = 2000  # test images of each chip with one error alone


@dataclass(frozen=True)
class Study:
    """What all chips of the study share.

    Attributes:
        spec: Spec of the study.
        trained: The run whose optics are made.
        errors: Errors of the process.
        folder: Folder of the study.
    """

    spec: Spec
    trained: Trained
    errors: Fabrication
    folder: Path

    @property
    def applied(self) -> Fabrication:
        """The errors that act on these optics."""
        return self.errors.on(name_design(self.spec) or "kernels")


def tolerate(
    spec: Spec,
    run: Path,
    chips: int,
    threshold: float,
    folder: Path,
    data_root: Path | None,
    progress: Progress,
    workers: Workers = HERE,
    *,
    alone: bool = True,
) -> dict[str, Any]:
    """Make many chips of one design and compensate each.

    Interrupted and called again, it goes on with the chip or the error at which it was. The
    tables keep the chips of all calls with the same spec and run.

    Args:
        spec: Spec of the run, with ``fabrication``; ``compensation`` has its defaults.
        run: A run whose student is trained.
        chips: Seeds 0 to ``chips - 1`` of the errors.
        threshold: The metric that a chip must reach to be good.
        folder: Where chips, tables and figure go.
        data_root: Where named data sets lie.
        progress: Shows how far it is.
        workers: Who makes the chips.
        alone: Whether each error is measured alone as well.

    Returns:
        What ``tolerance.json`` holds, of the chips that were asked for.

    Raises:
        SpecError: There is no chip, or a setting cannot be.
        ArtefactError: The folder holds chips of another spec or run.
    """
    refuse_count("--chips", chips)
    if not 0 < threshold <= 1:
        raise SpecError(f"--threshold {threshold:g}: allowed is a share above 0, up to 1")
    spec = _state(spec)
    with open_folder(folder, spec):
        trained = open_trained(spec, run, data_root, progress)
        refuse_few_captures(spec, trained)
        study = Study(spec, trained, stated(spec), folder)
        table = open_rows(folder, STUDY, _tell(study))
        write_text(folder / "spec.yaml", dump_spec(spec))

        def write() -> None:
            write_table(folder / "tolerance.csv", _tabulate_chips(table))
            write_table(folder / "alone.csv", _tabulate_alone(study, table, None))

        work = Work(STUDY, OPEN, DO, pack_inputs(spec, data_root, run=str(run.absolute())))
        runs = [*map(_list_chip, range(chips))]
        runs += _list_alone(study, chips) if alone else []
        map_runs(work, runs, table, study, progress, workers, write)
        write()
        found = _describe(study, table, threshold, chips)
        write_json(folder / "tolerance.json", found)
        write_tolerance(folder)
        write_study_report(folder)
    return found


def summarise(rows: list[dict[str, Any]], threshold: float) -> dict[str, dict[str, Any]]:
    """Mean, standard deviation, range and yield of each way to treat the chips.

    The yield has Wilson's 95 % interval: few chips say little of the share that is good.

    Args:
        rows: A chip each: ``chip``, then the metric of each treatment.
        threshold: What a good chip reaches.
    """
    treatments = [key for key in rows[0] if key != "chip"]
    values = {key: [row[key] for row in rows] for key in treatments}
    return {
        key: {
            "mean": fmean(some),
            "standard_deviation": stdev(some) if len(some) > 1 else None,
            "lowest": min(some),
            "highest": max(some),
            **_count_good(some, threshold),
        }
        for key, some in values.items()
    }


def _count_good(values: list[float], threshold: float) -> dict[str, float]:
    good = sum(value >= threshold for value in values)
    low, high = wilson_interval(good, len(values))
    return {"yield": good / len(values), "yield_low": low, "yield_high": high}


def _describe(study: Study, table: Rows, threshold: float, chips: int) -> dict[str, Any]:
    """The content of tolerance.json."""
    rows = [table.values[name_row("chip", chip)] for chip in range(chips)]
    task, few = make_task(study.spec.task), _few(study.trained.dataset)
    return {
        "name": study.spec.name,
        "metric": task.metric,
        "label": task.label,
        "preset": study.errors.preset,
        "threshold": threshold,
        "ideal": study.trained.student.results[task.metric],
        "chips": rows,
        "summary": summarise(rows, threshold),
        # Errors alone are measured on some images, and so is what they are compared with.
        "alone_images": len(few),
        "alone_ideal": _score_ideal(study.trained, few),
        "alone": _tabulate_alone(study, table, chips),
    }


def _state(spec: Spec) -> Spec:
    """The spec of the study.

    Raises:
        SpecError: A setting cannot be.
    """
    settings = spec.compensation_or_default()
    # The curve, and what is kept, are one chip's affair: every treatment is reported.
    settings = settings.model_copy(update={"fractions": (), "judged_fraction": 0.0})
    spec = spec.model_copy(update={"compensation": settings})
    stated_compensation(spec)
    return spec


def open_chips(inputs: dict[str, Any], folder: Path) -> Opened:
    """What a worker shares between chips."""
    spec = unpack_spec(inputs)
    trained = open_trained(spec, Path(inputs["run"]), unpack_root(inputs), Silent())
    study = Study(spec, trained, stated(spec), folder)
    return study, _tell(study)


def _tell(study: Study) -> dict[str, Any]:
    """What all chips of the study depend on."""
    trained, varied = study.trained, ("fabrication.seed",)
    stages = (PLAIN_COMPENSATED,)
    return describe_settings(stages, study.spec, trained.dataset, varied, trained.done)


def _list_chip(chip: int) -> Run:
    return Run(name_row("chip", chip), f"chip {chip}", {"chip": chip})


def _list_alone(study: Study, chips: int) -> list[Run]:
    """The chips with each error alone, uncompensated.

    The first of a metasurface is the design itself, error ``none``: what the pillars cost
    before anything goes wrong in the fab.
    """
    return [
        Run(
            name_row("alone", name, seed),
            f"{name} alone, chip {seed}",
            {"chip": seed, "error": name},
        )
        for name, some in _seeds_alone(study, chips).items()
        for seed in some
    ]


def measure_chip(study: Study, arguments: dict[str, Any], progress: Progress) -> Any:
    """Make and compensate a ``chip``, or measure it with one ``error`` alone: its row."""
    chip, alone = arguments["chip"], arguments.get("error")
    if alone is not None:
        place = study.folder / "alone" / f"{alone}-{chip:03d}"
        return _score_once(study, _leave_one(study.applied, alone, chip), place)
    own = study.spec.model_copy(update={"fabrication": study.errors.with_seed(chip)})
    place, trained = study.folder / "chips" / f"{chip:03d}", study.trained
    results = complete(
        PLAIN_COMPENSATED, own, trained.dataset, trained.done, place, progress
    ).results
    end = f"_{make_task(study.spec.task).metric}"
    treated = {
        name.removesuffix(end): value
        for name, value in results.items()
        if name.endswith(end) and name != f"ideal{end}"
    }
    return {"chip": chip} | treated


def _tabulate_chips(table: Rows) -> list[dict[str, Any]]:
    """All chips that were ever made."""
    rows = [value for key, value in table.values.items() if json.loads(key)[0] == "chip"]
    return sorted(rows, key=lambda row: row["chip"])


def _seeds_alone(study: Study, chips: int) -> dict[str, range]:
    """The chips with each error alone; one where all have the same error."""
    wanted = [name for name in ERRORS if getattr(study.applied, name)]
    first = {"none": range(1)} if study.trained.metasurface is not None else {}
    return first | {name: range(chips if BY_KEY[name].drawn else 1) for name in wanted}


def _tabulate_alone(study: Study, table: Rows, chips: int | None) -> list[dict[str, Any]]:
    """A row an error: its magnitude, mean, lowest and highest metric.

    Args:
        study: What all chips share.
        table: What was measured.
        chips: Chips 0 to N - 1 count; None: all that were ever measured.
    """
    scores: dict[str, list[float]] = {}
    for key, score in table.values.items():
        what, name, *seed = json.loads(key)
        if what == "alone" and (chips is None or seed[0] < chips):
            scores.setdefault(name, []).append(score)
    order = [name for name in ("none", *ERRORS) if name in scores]
    return [
        {"error": name, "magnitude": getattr(study.applied, name, 0.0)}
        | {"mean": fmean(scores[name]), "lowest": min(scores[name]), "highest": max(scores[name])}
        for name in order
    ]


def _leave_one(errors: Fabrication, name: str, seed: int) -> Fabrication:
    off = {other: Fabrication.model_fields[other].default for other in ERRORS if other != name}
    return errors.model_copy(update=off | {"preset": "none", "seed": seed})


def _score_once(study: Study, errors: Fabrication, place: Path) -> float:
    own, trained = study.spec.model_copy(update={"fabrication": errors}), study.trained
    return complete(ALONE, own, trained.dataset, trained.done, place, Silent()).results["score"]


def _score_ideal(trained: Trained, few: torch.Tensor) -> float:
    """The metric of some test images with ideal optics, as the student stage predicted them."""
    task, classes = trained.dataset.task, len(trained.dataset.classes)
    path = trained.student.folder / "predictions.npz"
    student = read_predictions(path, "the student stage", classes, task)
    return float(student.scores[few.numpy()].mean())


def _score(context: Context) -> dict[str, Any]:
    """The metric of some test images behind one chip, uncompensated."""
    spec, dataset = context.spec, context.dataset
    student, metasurface = context.need(STUDENT), context.find(METASURFACE)
    made, few = make_chip(spec, dataset, student, metasurface, stated(spec)), _few(dataset)
    logits = compute_logits(made.student.backend, made.capture(dataset.test.take(few), "test"))
    task = make_task(spec.task)
    return {"score": task.measure(logits, dataset.test.labels[few])[task.metric]}


ALONE = Stage("one error", narrow_chip, _score, needs=(STUDENT, METASURFACE))


def _few(dataset: Dataset) -> torch.Tensor:
    step = max(1, len(dataset.test) // ALONE_IMAGES)
    return torch.arange(0, len(dataset.test), step)
