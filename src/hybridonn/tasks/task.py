"""What a task asks of a network, and how a task is made by its name."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from hybridonn.core.tables import resolve
from hybridonn.tasks.table import TASKS


class Task(Protocol):
    """Owns everything that depends on what the network is for; nothing else asks."""

    metric: str

    def __init__(self, label_smoothing: float = 0.0) -> None:
        """A task whose loss smooths its labels by so much."""
        ...

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of the task alone, a scalar."""
        ...

    def score(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The metric of each image, (B,); its mean is what is reported."""
        ...

    def measure(self, logits: Tensor, labels: Tensor) -> dict[str, float]:
        """Every number that is reported of a test set: the metric under its name, and others."""
        ...

    def predict(self, logits: Tensor) -> Tensor:
        """The class of each image or pixel."""
        ...

    def divergence(self, student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        """How far the student's softened outputs are from the teacher's, a scalar."""
        ...

    def contraction(self, probes: int | None) -> int | None:
        """How the tangent kernel sums over the outputs: so many random signs, or None, exactly."""
        ...


def make_task(name: str, label_smoothing: float = 0.0) -> Task:
    """The task of a name, as ``spec.task`` states it.

    Args:
        name: One of :data:`~hybridonn.tasks.table.TASKS`.
        label_smoothing: Share of the truth that the loss spreads over all classes.
    """
    return resolve(TASKS, name)(label_smoothing)
