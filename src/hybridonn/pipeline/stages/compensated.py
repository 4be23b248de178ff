"""Stage ``compensated``: the backend set anew and fine-tuned on captures of a chip."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from hybridonn.compensation.capture_pair import Captured, count_captures
from hybridonn.core.errors import SpecError
from hybridonn.core.files import write_table
from hybridonn.core.progress import Progress
from hybridonn.core.random import generator_of
from hybridonn.data.dataset import ImageSet
from hybridonn.data.splits import thin
from hybridonn.networks.hybrid import HybridNetwork, count_parameters
from hybridonn.pipeline.choice import choose
from hybridonn.pipeline.lessons import Lessons, draw_lessons
from hybridonn.pipeline.recovery import ask, treat
from hybridonn.pipeline.stage import Context, Stage
from hybridonn.pipeline.stages.fabricated import make_chip, narrow_chip, stated
from hybridonn.pipeline.stages.metasurface import METASURFACE
from hybridonn.pipeline.stages.student import STUDENT
from hybridonn.pipeline.stages.teacher import TEACHER, load_teacher
from hybridonn.pipeline.treated import Treated, embed_both, keep, measure
from hybridonn.spec import Compensation, Spec
from hybridonn.tasks.task import make_task


def _inputs(spec: Spec) -> Spec:
    return narrow_chip(spec, "compensation")


def _run(context: Context) -> dict[str, Any]:
    """Capture a part of the training images behind the simulated chip and win accuracy back.

    Raises:
        SpecError: The settings contradict one another.
    """
    spec, dataset, progress = context.spec, context.dataset, context.progress
    settings = stated_compensation(spec)
    student, metasurface = context.need(STUDENT), context.find(METASURFACE)
    chip = make_chip(spec, dataset, student, metasurface, stated(spec), progress)
    images, classes = dataset.student_train, len(dataset.classes)
    test = chip.capture(dataset.test, "test")
    network = load_teacher(spec, dataset, context.need(TEACHER).folder)

    def learn(some: Compensation) -> Lessons:
        chosen = choose_captures(images, classes, some)
        return draw_lessons(images, chosen, partial(chip.capture, part="student_train"), some)

    illustrated = context.options["illustrated"]
    found = win_back(
        spec, settings, chip.student, network, learn, test, context.part, progress, illustrated
    )
    return found | {"source": "simulation"}


def stated_compensation(spec: Spec) -> Compensation:
    """The compensation that a spec states.

    Raises:
        SpecError: It states none, or one that cannot be.
    """
    settings = spec.compensation
    if settings is None:
        raise SpecError("compensation is not set; set it to {} for the defaults")
    if not settings.labelled and "none" in (*settings.methods, settings.distillation.method):
        raise SpecError(
            "compensation.labelled is false, but method none learns from labels alone; "
            "leave none out of compensation.methods and choose kd or ntkd"
        )
    if settings.twin_fraction and spec.optics.frontend == "four_f":
        raise SpecError(
            f"compensation.twin_fraction is {settings.twin_fraction:g}, but a twin convolves "
            "the scene, and the pictures of a coherent 4f system (optics.frontend: four_f) are "
            "no convolution; set it to 0"
        )
    if any(settings.training.augmentation.model_dump(exclude_defaults=True)):
        raise SpecError(
            "compensation.training.augmentation is set, but captures cannot be changed after "
            "they were taken; leave it out"
        )
    return settings


def choose_captures(images: ImageSet, classes: int, settings: Compensation) -> Tensor:
    """Positions of the images that are learnt from, every class in proportion, shuffled.

    Raises:
        SpecError: The fraction is not one image of each class.
    """
    number = count_captures(settings.fraction, images, classes)
    generator = generator_of("captures to learn from", settings.seed)
    if images.labels.ndim > 1:
        return torch.randperm(len(images), generator=generator)[:number]
    every = ImageSet(torch.arange(len(images)), images.labels)
    chosen = thin(every, classes, number, settings.seed).images
    return chosen[torch.randperm(len(chosen), generator=generator)]


def win_back(
    spec: Spec,
    settings: Compensation,
    student: HybridNetwork,
    teacher: nn.Module,
    learn: Callable[[Compensation], Lessons],
    test: Captured,
    part: Path,
    progress: Progress,
    illustrated: bool = True,
) -> dict[str, Any]:
    """Calibrate, fine-tune by every method, and keep what is best on captures held out.

    Args:
        spec: The task, and the student's spec.
        settings: How.
        student: With the optics as designed.
        teacher: Sees the raw images; in inference mode.
        learn: What may be learnt from at the fraction of its settings.
        test: Captures of test images, only classified.
        part: Where the artefacts go.
        progress: Shows how far it is.
        illustrated: Whether to keep what only a report needs.

    Returns:
        The numbers of the stage.
    """
    task = make_task(spec.task)
    learnt = learn(settings)
    knowledge = ask(spec, settings, student, teacher, learnt.shown, progress)
    choice = choose(spec, settings, student, knowledge, learnt, part, progress)
    began = perf_counter()
    treated = treat(spec, settings, student, knowledge, learnt, test, part, progress)
    seconds = round(perf_counter() - began, 2)
    kept = next(one for one in treated if one.method == choice.method)
    scores = keep(part, task, treated, kept, test, choice.scores)
    if illustrated:
        embed_both(part, treated[0], kept, test)
    curve = [_point(settings, len(learnt.captured), treated, spec, test)]
    for fraction in sorted({*settings.fractions} - {settings.fraction}):
        own = settings.model_copy(update={"fraction": fraction, "methods": ()})
        some = learn(own)
        known = ask(spec, own, student, teacher, some.shown, progress)
        found = treat(spec, own, student, known, some, test, part, progress)
        curve.append(_point(own, len(some.captured), found, spec, test))
    write_table(part / "fractions.csv", sorted(curve, key=lambda row: row["fraction"]))
    return {
        "method": kept.method,
        task.metric: scores[kept.method],
        **choice.as_numbers(),
        "fraction": settings.fraction,
        "captures": len(learnt.captured),
        "twin_images": len(learnt.others),
        "calibration": settings.calibration,
        "labelled": settings.labelled,
        "fractions_by": settings.distillation.method,
        **{f"{method}_{task.metric}": score for method, score in scores.items()},
        "seconds": seconds,
        "parameters": count_parameters(kept.backend),
        "parameters_before": count_parameters(student.backend),
    }


def _point(
    settings: Compensation, captures: int, treated: list[Treated], spec: Spec, test: Captured
) -> dict[str, Any]:
    """The metric at one fraction of captures, calibrated and by the stated method."""
    wanted = {"calibrated": "calibrated", settings.distillation.method: "fine_tuned"}
    task = make_task(spec.task)
    row: dict[str, Any] = {"fraction": settings.fraction, "captures": captures}
    for one in treated:
        if one.method in wanted:
            row[wanted[one.method]] = measure(task, one, test)
    return row


COMPENSATED = Stage(
    "compensated",
    _inputs,
    _run,
    needs=(TEACHER, STUDENT, METASURFACE),
    wanted=lambda spec: spec.fabrication is not None and spec.compensation is not None,
    options={"illustrated": True},
)
# Without what only a report needs: for studies.
PLAIN_COMPENSATED = COMPENSATED.with_options(illustrated=False)
