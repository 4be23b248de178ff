"""Stage ``estimate``: the accuracy that a design can reach, before anyone trains it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from hybridonn.core.errors import SpecError
from hybridonn.core.files import write_arrays, write_table
from hybridonn.core.progress import Progress
from hybridonn.core.tables import resolve
from hybridonn.data.batches import to_scene
from hybridonn.data.dataset import ImageSet
from hybridonn.data.indexed import pack_labels
from hybridonn.data.splits import draw_positions, thin
from hybridonn.estimation import Estimate, Settings
from hybridonn.estimation.estimators import EstimateInputs
from hybridonn.networks.backends.table import BACKENDS
from hybridonn.networks.student import check_fit
from hybridonn.pipeline.stage import Context, Stage
from hybridonn.spec import Spec, narrow
from hybridonn.tasks.task import make_task


def _inputs(spec: Spec) -> Spec:
    return narrow(spec, "task", "student", "estimate", "data.split_seed")


def refuse_masks(spec: Spec) -> None:
    """Refuse infinitely many optical kernels for a task that has no such estimate.

    Raises:
        SpecError: The task has no estimate of ``estimate.kernels``.
    """
    allowed = make_task(spec.task).estimates
    if not allowed:
        raise SpecError(f"task: {spec.task} has no estimate; train the design instead")
    if spec.estimate.kernels not in allowed:
        raise SpecError(
            f"estimate.kernels is {spec.estimate.kernels}, which answers one class an image; "
            f"task: {spec.task} takes estimate.kernels: {' or '.join(allowed)}"
        )


def refuse_own_backend(spec: Spec) -> None:
    """Refuse a backend whose wide network is not known.

    Raises:
        SpecError: It is the user's own.
    """
    if spec.student.backend not in BACKENDS:
        raise SpecError(
            f"student.backend is {spec.student.backend!r}, code of your own, whose infinitely wide "
            f"network is not known; an estimate is made for {', '.join(BACKENDS)}"
        )


def _run(context: Context) -> dict[str, Any]:
    """Estimate the accuracy, or the mIoU, by regression with the design's wide network.

    Raises:
        SpecError: The design has no analytic kernel, or the memory does not hold it.
    """
    spec, dataset, part = context.spec, context.dataset, context.part
    refuse_masks(spec)
    check_fit(spec.student, dataset.image_shape)
    settings, seed, metric = spec.estimate, spec.data.split_seed, make_task(spec.task).metric
    task, classes = dataset.task, len(dataset.classes)
    strata, tested = (
        task.stratify(part.labels, dataset.classes)
        for part in (dataset.student_train, dataset.test)
    )
    train = thin(dataset.student_train, strata, settings.train_images, seed)
    places = draw_positions(tested, settings.test_images, seed)
    test = dataset.test.take(places)
    found = _regress(spec, train, test, classes, part / "checkpoint_tiles", context.progress)
    write_table(
        part / "learning_curve.csv",
        [{"images": p.images, metric: p.accuracy} for p in found.learning_curve],
    )
    write_arrays(
        part / "predictions.npz",
        positions=places.numpy(),
        predicted=found.predictions,
        **pack_labels(test.labels),
    )
    replaced = settings.kernels == "infinite" and spec.student.pooling == "max"
    return {
        metric: found.accuracy,
        "uncertainty": found.uncertainty,
        "seconds": round(found.seconds, 2),
        "train_images": len(train),
        "test_images": len(test),
        "lambda": found.lambda_,
        "kernels": settings.kernels,
        "method": found.method + ("; average in place of maximum pooling" if replaced else ""),
    }


def _regress(
    spec: Spec, train: ImageSet, test: ImageSet, classes: int, tiles: Path, progress: Progress
) -> Estimate:
    settings = Settings(
        memory_gb=spec.estimate.memory_gb,
        features=spec.estimate.features,
        seed=spec.data.split_seed,
    )
    inputs = EstimateInputs(
        spec.student,
        _scenes(train),
        _scenes(test),
        classes,
        make_task(spec.task).score,
        spec.estimate.draws,
        settings,
        progress,
        tiles,
    )
    return resolve(make_task(spec.task).estimates, spec.estimate.kernels)(inputs)


def _scenes(part: ImageSet) -> tuple[Tensor, Tensor]:
    return to_scene(part.images), part.labels


ESTIMATE = Stage(
    "estimate",
    _inputs,
    _run,
    wanted=lambda spec: spec.student.backend in BACKENDS and bool(make_task(spec.task).estimates),
    shared="estimates",
)
