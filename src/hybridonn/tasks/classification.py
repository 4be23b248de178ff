"""Classification: one class an image."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from hybridonn.tasks.divergence import soft_divergence


@dataclass(frozen=True)
class Classification:
    """One class an image.

    Attributes:
        label_smoothing: Share of the truth that is spread over all classes (Szegedy et
            al. 2016, section 7). It spoils what a teacher has to say of the classes'
            likeness (Müller, Kornblith and Hinton 2019).
    """

    label_smoothing: float = 0.0
    metric = "accuracy"

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of logits (B, classes) and labels (B,)."""
        return F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)

    def score(self, logits: Tensor, labels: Tensor) -> Tensor:
        """1 where the largest logit is the label's, else 0: (B,)."""
        return (logits.argmax(1) == labels).float()

    def measure(self, logits: Tensor, labels: Tensor) -> dict[str, float]:
        """The share of images that are named rightly."""
        return {self.metric: float(self.score(logits, labels).mean())}

    def predict(self, logits: Tensor) -> Tensor:
        """The class of each image, (B,)."""
        return logits.argmax(1)

    def divergence(self, student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        """``T^2 KL(softmax(teacher/T) || softmax(student/T))``, Hinton et al. 2015, section 2."""
        return soft_divergence(student, teacher, temperature)

    def contraction(self, probes: int | None) -> int | None:
        """All classes, unless signs are asked for."""
        return probes
