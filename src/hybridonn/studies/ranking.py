"""Does the estimate rank designs as training ranks them?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import numpy as np

from hybridonn.data import load_dataset
from hybridonn.data.dataset import Dataset
from hybridonn.data.splits import thin
from hybridonn.distillation.objective import Objective
from hybridonn.distillation.tasks import TASKS
from hybridonn.distillation.training import Lesson, predict, train
from hybridonn.errors import SpecError
from hybridonn.files import write_json, write_table, write_tensors, write_text
from hybridonn.networks.hybrid import count_parameters
from hybridonn.networks.students import build_student
from hybridonn.pipeline.estimate import ESTIMATE
from hybridonn.pipeline.folder import open_folder
from hybridonn.pipeline.stage import Context, Stage, complete
from hybridonn.progress import Progress, Silent
from hybridonn.reports.ranking import write_ranking
from hybridonn.reports.statistics import mean_difference, rank_interval, share_interval
from hybridonn.spec import Spec, dump_spec, narrow
from hybridonn.studies.designs import Design, spread_designs

Kernels = Literal["design", "infinite"]
KERNELS: tuple[Kernels, ...] = ("design", "infinite")
VALIDATION = 1000  # validation images that choose the epoch: each epoch looks at all of them


@dataclass(frozen=True)
class Bench:
    """What all designs of the study share."""

    spec: Spec
    dataset: Dataset
    folder: Path
    progress: Progress

    def estimate(self, design: Design, kernels: Kernels) -> dict[str, Any]:
        """The estimate of a design before any training."""
        settings = self.spec.estimate.model_copy(update={"kernels": kernels})
        spec = self.spec.model_copy(update={"student": design.student, "estimate": settings})
        folder = self.folder / "estimates" / kernels / design.name
        return complete(ESTIMATE, spec, self.dataset, {}, folder, self.progress).results

    def train(self, design: Design, seed: int) -> dict[str, Any]:
        """The design trained on the task alone."""
        spec = self.spec.model_copy(update={"student": design.student, "seed": seed})
        place = self._folder(design, seed)
        return complete(ALONE, spec, self.dataset, {}, place, self.progress).results

    def _folder(self, design: Design, seed: int) -> Path:
        return self.folder / "students" / f"{design.name}-{seed}"


def rank(
    spec: Spec,
    designs: int,
    seeds: int,
    kernels: tuple[Kernels, ...],
    folder: Path,
    data_root: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Estimate and train designs that spread out, and compare the two accuracies.

    Every design is estimated, then trained on the task alone with the training of the
    spec, from each seed. Interrupted and called again, it goes on where it was.

    Args:
        spec: Data, training, estimate, and what the designs have in common; its seed gives
            the list of designs, 0 the one that the estimate's form was chosen on.
        designs: How many, see :func:`hybridonn.studies.designs.spread_designs`.
        seeds: Seeds 0 to ``seeds - 1`` of each design's training; the mean counts.
        kernels: Which estimates: "design", "infinite" or both.
        folder: Where students, estimates, tables and figure go.
        data_root: Where named data sets lie.
        progress: Shows how far it is.

    Returns:
        What ``ranking.json`` holds.

    Raises:
        SpecError: There is no seed, or a number of designs that cannot be.
    """
    if seeds < 1:
        raise SpecError(f"--seeds {seeds}: allowed is 1 or more")
    progress = progress or Silent()
    spec = spec.for_method("none")
    with open_folder(folder, spec):
        write_text(folder / "spec.yaml", dump_spec(spec))
        dataset = load_dataset(spec.data, data_root, progress)
        chosen = spread_designs(spec.student, dataset.image_shape, designs, spec.seed)
        few = thin(dataset.validation, len(dataset.classes), VALIDATION, spec.data.split_seed)
        bench = Bench(spec, dataset.with_part("validation", few), folder, progress)
        rows: list[dict[str, Any]] = []
        with progress.bar("designs", len(chosen)) as advance:
            for design in chosen:
                rows.append(_measure(bench, design, seeds, kernels))
                write_table(folder / "ranking.csv", rows)
                advance()
        ranking = summarise(rows, kernels) | {
            "name": spec.name,
            "train_images": len(dataset.student_train),
            "seeds": seeds,
            "designs_seed": spec.seed,
        }
        write_json(folder / "ranking.json", ranking)
        write_ranking(folder)
    return ranking


def parse_kernels(text: str) -> tuple[Kernels, ...]:
    """Kinds of estimates separated by commas, each once.

    Raises:
        SpecError: A kind is unknown or named twice.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    chosen: tuple[Kernels, ...] = tuple(kind for kind in KERNELS if kind in names)
    if not names or len(chosen) != len(names):
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
    student = build_student(spec.student, dataset.image_shape, len(dataset.classes), spec.seed)
    task = TASKS[spec.task]()
    lesson = Lesson(
        Objective(task),
        dataset.student_train,
        dataset.validation,
        spec.training,
        spec.seed,
        f"training (seed {spec.seed})",
    )
    history = train(student, lesson, context.part / "checkpoint.safetensors", context.progress)
    logits = predict(student, dataset.test.images)
    write_tensors(context.part / "weights.safetensors", student.state_dict())
    return {
        task.metric: float(task.score(logits, dataset.test.labels).mean()),
        "seconds": round(sum(row["seconds"] for row in history), 3),
        "parameters": count_parameters(student),
    }


ALONE = Stage(
    "student alone",
    lambda spec: narrow(spec, "task", "seed", "student", "training"),
    _train_alone,
)


def _measure(
    bench: Bench, design: Design, seeds: int, kernels: tuple[Kernels, ...]
) -> dict[str, Any]:
    metric = TASKS[bench.spec.task].metric
    estimates = {kind: bench.estimate(design, kind) for kind in kernels}
    students = [bench.train(design, seed) for seed in range(seeds)]
    student = design.student
    row: dict[str, Any] = {
        "name": design.name,
        "kernels": student.kernels,
        "kernel_size": student.kernel_size,
        "pooled_size": student.pooled_size,
        "stride": student.stride,
        "hidden": "x".join(map(str, student.hidden)),
        "parameters": students[0]["parameters"],
        "trained": fmean(one[metric] for one in students),
        "trained_low": min(one[metric] for one in students),
        "trained_high": max(one[metric] for one in students),
        "trained_seconds": fmean(one["seconds"] for one in students),
    }
    for kind, found in estimates.items():
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
        correlation = spearman(found, trained)
        interval = None if correlation is None else rank_interval(correlation, len(rows))
        low, high = interval or (None, None)
        bias = mean_difference(found, trained)
        estimates[kind] = {
            "spearman": correlation,
            "spearman_low": low,
            "spearman_high": high,
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


def spearman(first: np.ndarray, second: np.ndarray) -> float | None:
    """Spearman's rank correlation of two lists, (N,); None: one is constant, and has no ranks."""
    from scipy.stats import rankdata

    one, two = (rankdata(values) - (len(values) + 1) / 2 for values in (first, second))
    scale = float(np.sqrt((one @ one) * (two @ two)))
    return float(one @ two) / scale if scale else None
