"""Channel-wise distillation: where the student sees each class, against where the teacher does."""

from __future__ import annotations

from torch import Tensor

from hybridonn.distillation.step import Step
from hybridonn.tasks.divergence import spatial_divergence


def match_channels(step: Step) -> Tensor:
    """The divergence of each channel's distribution over places, a scalar (Shu et al. 2021).

    Raises:
        ValueError: An answer of the task has no places.
    """
    maps = [step.task.class_maps(one) for one in (step.logits, step.teacher_logits())]
    student, teacher = maps
    if student is None or teacher is None:
        raise ValueError("distillation.method is cwd, but an image has one answer, without places")
    return spatial_divergence(student, teacher, step.settings.temperature)
