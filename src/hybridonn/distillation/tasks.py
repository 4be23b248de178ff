"""What a task asks of a network: its loss, its metric, its outputs in the tangent kernel."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor
from torch.nn import functional as F


class Task(Protocol):
    """Owns everything that depends on what the network is for; nothing else asks."""

    metric: str

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of the task alone, a scalar."""
        ...

    def score(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The metric of each image, (B,); its mean is what is reported."""
        ...

    def divergence(self, student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        """How far the student's softened outputs are from the teacher's, a scalar."""
        ...


class Classification:
    """One class an image."""

    metric = "accuracy"

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of logits (B, classes) and labels (B,)."""
        return F.cross_entropy(logits, labels)

    def score(self, logits: Tensor, labels: Tensor) -> Tensor:
        """1 where the largest logit is the label's, else 0: (B,)."""
        return (logits.argmax(1) == labels).float()

    def divergence(self, student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        """``T^2 KL(softmax(teacher/T) || softmax(student/T))``, Hinton et al. 2015, section 2."""
        return temperature**2 * F.kl_div(
            F.log_softmax(student / temperature, 1),
            F.log_softmax(teacher / temperature, 1),
            log_target=True,
            reduction="batchmean",
        )


TASKS: dict[str, type[Task]] = {"classification": Classification}
