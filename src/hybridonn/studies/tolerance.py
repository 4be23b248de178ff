"""Monte Carlo over simulated chips: accuracy before and after compensation, yield, culprits."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch

from hybridonn.data.dataset import Dataset
from hybridonn.distillation.tasks import TASKS
from hybridonn.errors import SpecError
from hybridonn.files import write_json, write_table, write_text
from hybridonn.pipeline.as_built import answer, make_chip, narrow_chip, stated
from hybridonn.pipeline.compensated import PLAIN_COMPENSATED
from hybridonn.pipeline.folder import open_folder
from hybridonn.pipeline.measured import Trained, open_trained
from hybridonn.pipeline.metasurface import METASURFACE
from hybridonn.pipeline.stage import Context, Stage, complete
from hybridonn.pipeline.student import STUDENT
from hybridonn.progress import Progress, Silent
from hybridonn.reports.statistics import wilson_interval
from hybridonn.reports.tolerance import write_tolerance
from hybridonn.spec import Compensation, Fabrication, Spec, dump_spec
from hybridonn.spec.fabrication import ERRORS

# These draw nothing: one chip shows what they cost.
SAME_ON_EVERY_CHIP = ("coupling_fraction", "bandwidth_nm", "stray_light", "crosstalk_fraction")
ALONE_IMAGES = 2000  # test images of each chip with one error alone


def tolerate(
    spec: Spec,
    run: Path,
    chips: int,
    threshold: float,
    folder: Path,
    data_root: Path | None,
    progress: Progress,
) -> dict[str, Any]:
    """Make many chips of one design and compensate each.

    Interrupted and called again, it goes on with the chip or the error at which it was.

    Args:
        spec: Of the run, with ``fabrication``; ``compensation`` has its defaults.
        run: A run whose student is trained.
        chips: Seeds 0 to ``chips - 1`` of the errors.
        threshold: The metric that a chip must reach to be good.
        folder: Where chips, tables and figure go.
        data_root: Where named data sets lie.
        progress: Shows how far it is.

    Returns:
        What ``tolerance.json`` holds.

    Raises:
        SpecError: There is no chip.
    """
    if chips < 1:
        raise SpecError(f"--chips {chips}: allowed is 1 or more")
    errors = stated(spec)
    settings = spec.compensation or Compensation()
    # The curve, and what is kept, are one chip's affair: every treatment is reported.
    settings = settings.model_copy(update={"fractions": (), "judged_fraction": 0.0})
    spec = spec.model_copy(update={"compensation": settings})
    metric = TASKS[spec.task]().metric
    with open_folder(folder, spec):
        write_text(folder / "spec.yaml", dump_spec(spec))
        trained = open_trained(spec, run, data_root, progress)
        rows = [
            _make_one(spec, trained, errors.with_seed(chip), folder, progress)
            for chip in range(chips)
        ]
        alone = _one_at_a_time(spec, trained, errors, chips, folder / "alone", progress)
        found = {
            "name": spec.name,
            "metric": metric,
            "preset": errors.preset,
            "threshold": threshold,
            "ideal": trained.student.results[metric],
            "chips": rows,
            "summary": summarise(rows, threshold),
            "alone": alone,
        }
        write_table(folder / "tolerance.csv", rows)
        write_table(folder / "alone.csv", alone)
        write_json(folder / "tolerance.json", found)
        write_tolerance(folder)
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


def _make_one(
    spec: Spec, trained: Trained, errors: Fabrication, folder: Path, progress: Progress
) -> dict[str, Any]:
    own = spec.model_copy(update={"fabrication": errors})
    place = folder / "chips" / f"{errors.seed:03d}"
    parts = (own, trained.dataset, trained.done, place, progress)
    results = complete(PLAIN_COMPENSATED, *parts).results
    end = f"_{TASKS[spec.task]().metric}"
    treated = {key.removesuffix(end): value for key, value in results.items() if key.endswith(end)}
    return {"chip": errors.seed} | treated


def _one_at_a_time(
    spec: Spec,
    trained: Trained,
    errors: Fabrication,
    chips: int,
    folder: Path,
    progress: Progress,
) -> list[dict[str, Any]]:
    """The metric with each error alone, uncompensated, mean over the chips.

    Of a metasurface the first row is the design itself, error ``none``: what the pillars cost
    before anything goes wrong in the fab.
    """
    applied = errors.on(trained.metasurface is not None)
    wanted = [name for name in ERRORS if getattr(applied, name)]
    seeds = {name: range(1 if name in SAME_ON_EVERY_CHIP else chips) for name in wanted}
    if trained.metasurface is not None:
        seeds = {"none": range(1)} | seeds
    rows = []
    with progress.bar("one error at a time", sum(map(len, seeds.values()))) as advance:
        for name, some in seeds.items():
            scores = []
            for seed in some:
                one = _leave_one(applied, name, seed)
                scores.append(_score_once(spec, trained, one, folder / f"{name}-{seed:03d}"))
                advance(1, name)
            rows.append(
                {"error": name, "magnitude": getattr(applied, name, 0.0), "mean": fmean(scores)}
                | {"lowest": min(scores), "highest": max(scores)}
            )
    return rows


def _leave_one(errors: Fabrication, name: str, seed: int) -> Fabrication:
    off = {other: Fabrication.model_fields[other].default for other in ERRORS if other != name}
    return errors.model_copy(update=off | {"preset": "none", "seed": seed})


def _score_once(spec: Spec, trained: Trained, errors: Fabrication, place: Path) -> float:
    own = spec.model_copy(update={"fabrication": errors})
    return complete(ALONE, own, trained.dataset, trained.done, place, Silent()).results["score"]


def _score(context: Context) -> dict[str, Any]:
    """The metric of some test images behind one chip, uncompensated."""
    spec, dataset = context.spec, context.dataset
    student, metasurface = context.need(STUDENT), context.find(METASURFACE)
    made, few = make_chip(spec, dataset, student, metasurface, stated(spec)), _few(dataset)
    captured = made.capture(dataset.test.take(few), "test")
    gains = torch.ones(made.frontend.kernels, 2)
    logits = answer(made.student.backend, captured.subtract(gains))
    task = TASKS[spec.task]()
    return {"score": task.measure(logits, dataset.test.labels[few])[task.metric]}


ALONE = Stage("one error", narrow_chip, _score, needs=(STUDENT, METASURFACE))


def _few(dataset: Dataset) -> torch.Tensor:
    step = max(1, len(dataset.test) // ALONE_IMAGES)
    return torch.arange(0, len(dataset.test), step)
