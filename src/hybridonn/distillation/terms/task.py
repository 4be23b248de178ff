"""The loss of the task itself: the student's logits against the labels."""

from __future__ import annotations

from torch import Tensor

from hybridonn.data.indexed import take_labels
from hybridonn.distillation.step import Step


def task_loss(step: Step) -> Tensor:
    """The loss of the task on the batch, a scalar.

    For images mixed two by two it is the loss with soft labels: cross-entropy is linear in the
    label, so ``CE(p, s y + (1 - s) y') = s CE(p, y) + (1 - s) CE(p, y')``.
    """
    batch = step.batch
    loss = step.task.loss(step.logits, batch.labels)
    if batch.mixture is None:
        return loss
    share, other = batch.mixture.share, take_labels(batch.labels, batch.mixture.partners)
    return share * loss + (1 - share) * step.task.loss(step.logits, other)
