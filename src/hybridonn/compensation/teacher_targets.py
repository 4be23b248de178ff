"""What a compensation asks beside the labels: the teacher, and the student as it was simulated."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from hybridonn.data.batches import to_scene
from hybridonn.distillation.teacher_targets import StoredKnowledge
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

    teacher: StoredKnowledge
    student: nn.Module
    images: Tensor
    layers: str | tuple[str, ...]
    source: TangentTeacher

    def take(self, indices: Tensor) -> CompensationKnowledge:
        """What is known of the images at these positions, in this order."""
        teacher, kept = self.teacher, indices.to(self.teacher.table.device)
        stored = StoredKnowledge(
            teacher.table[kept],
            None if teacher.gram is None else teacher.gram[kept[:, None], kept],
            None if teacher.features is None else teacher.features[kept],
        )
        return replace(self, teacher=stored, images=self.images[indices])

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
