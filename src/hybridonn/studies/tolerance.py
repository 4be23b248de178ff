"""Monte Carlo over simulated chips: accuracy before and after compensation, yield, culprits."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch

from hybridonn.data.dataset import Dataset
from hybridonn.distillation.tasks import TASKS
from hybridonn.errors import SpecError
from hybridonn.files import write_json, write_table
from hybridonn.pipeline.as_built import answer, make_chip, stated
from hybridonn.pipeline.compensated import compensate
from hybridonn.pipeline.folder import open_folder
from hybridonn.pipeline.measured import Trained, open_trained
from hybridonn.progress import Progress
from hybridonn.reports.tolerance import write_tolerance
from hybridonn.spec import Compensation, Fabrication, Spec

ON_KERNELS = (
    "kernel_noise_fraction",
    "brightness_fraction",
    "shift_pixels",
    "rotation_degrees",
    "defocus_pixels",
    "crosstalk_fraction",
)
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

    Interrupted and called again, it goes on with the chip at which it was.

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
    spec = spec.model_copy(update={"compensation": spec.compensation or Compensation()})
    metric = TASKS[spec.task]().metric
    with open_folder(folder):
        trained = open_trained(spec, run, data_root, progress)
        rows = [
            _make_one(spec, trained, errors.with_seed(chip), folder, progress)
            for chip in range(chips)
        ]
        alone = _one_at_a_time(spec, trained, errors, chips, progress)
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
            "yield": fmean(value >= threshold for value in some),
        }
        for key, some in values.items()
    }


def _make_one(
    spec: Spec, trained: Trained, errors: Fabrication, folder: Path, progress: Progress
) -> dict[str, Any]:
    own = spec.model_copy(update={"fabrication": errors})
    place = folder / "chips" / f"{errors.seed:03d}"
    parts = (trained.dataset, trained.teacher, trained.student, trained.metasurface)
    results = compensate(own, *parts, place, progress).results
    end = f"_{TASKS[spec.task]().metric}"
    treated = {key.removesuffix(end): value for key, value in results.items() if key.endswith(end)}
    return {"chip": errors.seed} | treated


def _one_at_a_time(
    spec: Spec, trained: Trained, errors: Fabrication, chips: int, progress: Progress
) -> list[dict[str, Any]]:
    """The metric with each error alone, uncompensated, mean over the chips."""
    test = trained.dataset.test
    few = _few(trained.dataset)
    task, rows = TASKS[spec.task](), []
    names = [name for name in ON_KERNELS if getattr(errors, name)]
    with progress.bar("one error at a time", len(names) * chips) as advance:
        for name in names:
            scores = []
            for chip in range(chips):
                alone = Fabrication.model_validate({name: getattr(errors, name), "seed": chip})
                made = make_chip(spec, trained.dataset, trained.student, trained.metasurface, alone)
                captured = made.capture(test.take(few), "test")
                gains = torch.ones(made.frontend.kernels, 2)
                logits = answer(made.student.backend, captured.subtract(gains))
                scores.append(task.measure(logits, test.labels[few])[task.metric])
                advance(1)
            rows.append(
                {"error": name, "magnitude": getattr(errors, name), "mean": fmean(scores)}
                | {"lowest": min(scores), "highest": max(scores)}
            )
    return rows


def _few(dataset: Dataset) -> torch.Tensor:
    step = max(1, len(dataset.test) // ALONE_IMAGES)
    return torch.arange(0, len(dataset.test), step)
