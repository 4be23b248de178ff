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
from hybridonn.data.dataset import Dataset, ImageSet
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

TILES = "checkpoint_tiles"  # in the folder of the stage while it is unfinished


def _inputs(spec: Spec) -> Spec:
    return narrow(name_estimator(spec), "task", "student", "estimate", "data.split_seed")


def name_estimator(spec: Spec) -> Spec:
    """The spec whose ``estimate.kernels`` names the estimator that its optics ask for.

    Args:
        spec: What the user states; it is returned where its optics have drawn kernels.
    """
    name = FRONTENDS[spec.frontend].estimator
    if not name:
        return spec
    settings = spec.estimate.model_copy(update={"kernels": name})
    return spec.model_copy(update={"estimate": settings})


def refuse_unestimated(spec: Spec) -> None:
    """Refuse a design of which no estimate can be made.

    Raises:
        SpecError: The task, the backend or the optics have no estimate, or the task has none of
            ``estimate.kernels``.
    """
    if obstacle := _find_obstacle(spec):
        raise SpecError(f"{obstacle}; train the design instead")
    _refuse_kernels(name_estimator(spec))


def _find_obstacle(spec: Spec) -> str:
    """Why no estimate of a design can be made; empty: one can."""
    backend = spec.student.backend
    task = make_task(spec.task)
    if not task.estimates:
        return f"task: {spec.task} has no estimate, since {task.unestimated}"
    if backend not in BACKENDS:
        return (
            f"student.backend is {backend!r}, code of your own, whose infinitely wide network is "
            "not known, so there is no estimate of it"
        )
    known = find_built_in(backend)
    if known.wide_layers(spec.student) is None and known.neighbourhood(spec.student) is None:
        return f"student.backend: {backend} has no estimate: its wide network is not known"
    frontend = FRONTENDS[spec.frontend]
    if not frontend.drawn_kernels and not frontend.estimator:
        return (
            f"optics.frontend: {spec.frontend} has no estimate, which is made of kernels that are "
            "drawn at random"
        )
    if frontend.estimator and frontend.estimator not in task.estimates:
        return f"optics.frontend: {spec.frontend} has no estimate for task: {spec.task}"
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
    metric = make_task(spec.task).metric
    train, places = choose_images(spec, dataset)
    test = dataset.test.take(places)
    found = estimate_spec(spec, dataset, part / TILES, context.progress)
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
    settings = spec.estimate
    replaced = settings.kernels != "design" and spec.student.pooling == "max"
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


def estimate_spec(spec: Spec, dataset: Dataset, tiles: Path, progress: Progress) -> Estimate:
    """Estimate the metric of a design by the estimator that its task names.

    Args:
        spec: From :func:`name_estimator`.
        dataset: The images.
        tiles: Where tiles of a large kernel are kept.
        progress: Shows how far it is.

    Raises:
        SpecError: The task has none of ``estimate.kernels``, the design does not fit the images or
            has no analytic kernel, or the memory does not hold it.
    """
    _refuse_kernels(spec)
    check_fit(spec.student, dataset.image_shape)
    inputs = gather_inputs(spec, dataset, tiles, progress)
    return resolve(make_task(spec.task).estimates, spec.estimate.kernels)(inputs)


def choose_images(spec: Spec, dataset: Dataset) -> tuple[ImageSet, Tensor]:
    """The training images of an estimate, and the positions of its test images, (N,) int64."""
    settings, seed = spec.estimate, spec.data.split_seed
    task, classes = dataset.task, dataset.classes
    train, test = (
        task.stratify(part.labels, classes) for part in (dataset.student_train, dataset.test)
    )
    few = thin(dataset.student_train, train, settings.train_images, seed)
    return few, draw_positions(test, settings.test_images, seed)


def gather_inputs(spec: Spec, dataset: Dataset, tiles: Path, progress: Progress) -> EstimateInputs:
    """What the estimator of a spec is given.

    Args:
        spec: What the user states.
        dataset: The images.
        tiles: Where tiles of a large kernel are kept.
        progress: Shows how far it is.
    """
    settings = Settings(
        memory_gb=spec.estimate.memory_gb,
        features=spec.estimate.features,
        seed=spec.data.split_seed,
    )
    train, places = choose_images(spec, dataset)
    return EstimateInputs(
        spec.student,
        _scenes(train),
        _scenes(dataset.test.take(places)),
        len(dataset.classes),
        make_task(spec.task).score,
        spec.estimate.draws,
        settings,
        progress,
        tiles,
    )


def _scenes(part: ImageSet) -> tuple[Tensor, Tensor]:
    return to_scene(part.images), part.labels


ESTIMATE = Stage(
    "estimate",
    _inputs,
    _run,
    wanted=lambda spec: not _find_obstacle(spec),
    shared="estimates",
)
