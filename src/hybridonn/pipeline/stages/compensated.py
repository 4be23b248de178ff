"""Stage ``compensated``: the backend calibrated and fine-tuned on captures of a simulated chip."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from hybridonn.compensation.capture_sampling import choose_captures
from hybridonn.compensation.compensate import compensate
from hybridonn.compensation.fine_tuning_data import FineTuningData, draw_fine_tuning_data
from hybridonn.compensation.settings import stated_compensation
from hybridonn.pipeline.chip_overlays import keep_chip_overlays
from hybridonn.pipeline.compensation_artefacts import keep_compensation
from hybridonn.pipeline.stage import Context, Stage
from hybridonn.pipeline.stages.fabricated import make_chip, narrow_chip, stated
from hybridonn.pipeline.stages.metasurface import METASURFACE
from hybridonn.pipeline.stages.student import STUDENT
from hybridonn.pipeline.stages.teacher import TEACHER, load_teacher
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
    images = dataset.student_train
    covered = dataset.task.cover(images.labels, dataset.classes)
    test = chip.capture(dataset.test, "test")
    teacher = load_teacher(spec, dataset, context.need(TEACHER).folder)

    def draw_data(some: Compensation) -> FineTuningData:
        chosen = choose_captures(covered, some)
        capture = partial(chip.capture, part="student_train")
        return draw_fine_tuning_data(images, chosen, capture, some)

    found = compensate(
        spec, settings, chip.student, teacher, draw_data, test, context.part, progress
    )
    illustrated = context.options["illustrated"]
    if illustrated:
        logits = found.evaluations[0].logits, found.kept.logits
        everything = torch.arange(len(test))
        keep_chip_overlays(context.part, dataset, student, everything, *logits)
    numbers = keep_compensation(
        context.part, make_task(spec.task), settings, chip.student, found, test, illustrated
    )
    return numbers | {"source": "simulation"}


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
