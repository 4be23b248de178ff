"""What the student learns from: the teacher's logits and its tangent kernel on a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from hybridonn.tangent import ntk


class Knowledge(Protocol):
    """The teacher's answers on a batch."""

    def logits(self, indices: Tensor, scene: Tensor) -> Tensor:
        """The teacher's logits, (B, classes)."""
        ...

    def kernel(self, indices: Tensor, scene: Tensor) -> Tensor:
        """The teacher's tangent kernel, contracted over the outputs, (B, B)."""
        ...


@dataclass(frozen=True)
class StoredKnowledge:
    """Answers on a fixed training set, computed once and reused by every student.

    Attributes:
        table: The teacher's logits on all training images, (N, classes).
        gram: Its tangent kernel on all training images, (N, N), or None.
        sketch: Or tangent features whose products estimate it, (N, width), or None.
    """

    table: Tensor
    gram: Tensor | None = None
    sketch: Tensor | None = None

    def logits(self, indices: Tensor, scene: Tensor) -> Tensor:
        """Look the logits up."""
        return self.table[indices]

    def kernel(self, indices: Tensor, scene: Tensor) -> Tensor:
        """Look the kernel up, or multiply the sketches.

        Raises:
            ValueError: Neither was stored.
        """
        if self.gram is not None:
            return self.gram[indices[:, None], indices[None, :]]
        if self.sketch is None:
            raise ValueError("the teacher's tangent kernel was not stored")
        features = self.sketch[indices].float()
        return features @ features.T


@dataclass(frozen=True)
class LiveKnowledge:
    """Answers on augmented images, which no table can hold: computed at each step.

    Attributes:
        teacher: In inference mode, on the device of the scenes.
        probes: Random sign probes for its tangent kernel; None: all outputs.
    """

    teacher: nn.Module
    probes: int | None = None

    @torch.no_grad()
    def logits(self, indices: Tensor, scene: Tensor) -> Tensor:
        """Ask the teacher."""
        return self.teacher(scene)

    def kernel(self, indices: Tensor, scene: Tensor) -> Tensor:
        """Compute its tangent kernel on this batch."""
        return ntk(self.teacher, scene, probes=self.probes).detach()
