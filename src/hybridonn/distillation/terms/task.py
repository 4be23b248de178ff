"""The loss of the task itself: the student's logits against the labels."""

from __future__ import annotations

from torch import Tensor

from hybridonn.distillation.step import Step


def task_loss(step: Step) -> Tensor:
    """The loss of the task on the batch, a scalar."""
    return step.task.loss(step.logits, step.batch.labels)
