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
from hybridonn.networks.backends.build import find_built_in
from hybridonn.networks.backends.table import BACKENDS
from hybridonn.networks.frontends.table import FRONTENDS
from hybridonn.networks.student import check_fit
from hybridonn.pipeline.stage import Context, Stage
from hybridonn.spec import Spec, narrow
from hybridonn.tasks.task import make_task


def _inputs(spec: Spec) -> Spec:
    return narrow(spec, "task", "student", "estimate", "data.split_seed")


def refuse_unestimated(spec: Spec) -> None:
    """Refuse a design of which no estimate can be made.

    Raises:
        SpecError: The task, the backend or the optics have no estimate, or the task has none of
            ``estimate.kernels``.
    """
    if obstacle := _find_obstacle(spec):
        raise SpecError(f"{obstacle}; train the design instead")
    _refuse_kernels(spec)


def _find_obstacle(spec: Spec) -> str:
    """Why no estimate of a design can be made; empty: one can."""
    backend = spec.student.backend
    if not make_task(spec.task).estimates:
        return f"task: {spec.task} has no estimate"
    if backend not in BACKENDS:
        return (
            f"student.backend is {backend!r}, code of your own, whose infinitely wide network is "
            "not known, so there is no estimate of it"
        )
    known = find_built_in(backend)
    if known.wide_layers(spec.student) is None and known.neighbourhood(spec.student) is None:
        return f"student.backend: {backend} has no estimate: its wide network is not known"
    frontend = spec.optics.frontend
    if not FRONTENDS[frontend].drawn_kernels:
        return (
            f"optics.frontend: {frontend} has no estimate, which is made of kernels that are drawn "
            "at random"
        )
    return ""


def _refuse_kernels(spec: Spec) -> None:
    allowed = make_task(spec.task).estimates
    if spec.estimate.kernels not in allowed:
        raise SpecError(
            f"estimate.kernels is {spec.estimate.kernels}, of which task: {spec.task} has no "
            f"estimate; task: {spec.task} takes estimate.kernels: {' or '.join(allowed)}"
        )


def _run(context: Context) -> dict[str, Any]:
    """Estimate the accuracy, or the mIoU, by regression with the design's wide network.

    Raises:
        SpecError: The design has no analytic kernel, or the memory does not hold it.
    """
    spec, dataset, part = context.spec, context.dataset, context.part
    _refuse_kernels(spec)
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
        part / "scores.npz",
        positions=places.numpy(),
        scores=found.scores.numpy(),
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
    wanted=lambda spec: not _find_obstacle(spec),
    shared="estimates",
)
