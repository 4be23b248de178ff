"""Knowledge distillation: the student's logits against the teacher's."""

from __future__ import annotations

from torch import Tensor

from hybridonn.distillation.step import Step


def match_logits(step: Step) -> Tensor:
    """The divergence of the softened logits, a scalar (Hinton et al. 2015)."""
    return step.task.divergence(step.logits, step.teacher_logits(), step.settings.temperature)
