"""What a compensation asks beside the labels: the teacher, and the student as it was simulated."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hybridonn.data.batches import to_scene
from hybridonn.distillation.knowledge import Knowledge
from hybridonn.spec.compensation import TangentTeacher
from hybridonn.tangent import centre, record


@dataclass(frozen=True)
class CompensationKnowledge:
    """The teacher's logits, and the tangent kernel of teacher, simulated student or both.

    Attributes:
        teacher: The teacher's answers on the captured images.
        student: The hybrid network with the optics as designed, in inference mode.
        images: The raw images that were captured, (N, C, H, W) uint8.
        layers: Of the student, whose tangent kernel is matched.
        source: Whose kernel is matched.
    """

    teacher: Knowledge
    student: nn.Module
    images: Tensor
    layers: str | tuple[str, ...]
    source: TangentTeacher

    def logits(self, indices: Tensor, scene: Tensor) -> Tensor:
        """The teacher's logits, (B, classes)."""
        return self.teacher.logits(indices, scene)

    def kernel(self, indices: Tensor, scene: Tensor) -> Tensor:
        """The kernel to match, (B, B); of both, the mean of the two centred and normalised."""
        if self.source == "teacher":
            return self.teacher.kernel(indices, scene)
        student = self._student_kernel(indices).to(scene.device)
        if self.source == "student":
            return student
        kernels = [centre(student), centre(self.teacher.kernel(indices, scene))]
        return sum(kernel / torch.linalg.norm(kernel) for kernel in kernels) / 2  # type: ignore[return-value]

    def _student_kernel(self, indices: Tensor) -> Tensor:
        device = next(self.student.parameters()).device
        with record(self.student, self.layers) as trace:
            logits = self.student(to_scene(self.images[indices.cpu()]).to(device))
        return trace.kernel(logits).detach()
