"""What a compensation asks beside the labels: the teacher, and the student as it was simulated."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from hybridonn.core.progress import Progress
from hybridonn.data.batches import to_scene
from hybridonn.data.dataset import ImageSet
from hybridonn.data.indexed import Inputs
from hybridonn.distillation.methods import needs_kernel
from hybridonn.distillation.teacher_targets import StoredTargets, ask_of_images, ask_sketch
from hybridonn.distillation.training import choose_device, predict
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.spec import Compensation, Spec
from hybridonn.spec.compensation import TangentTeacher
from hybridonn.tangent import centre, record
from hybridonn.tasks.pixels import SampledPixels
from hybridonn.tasks.task import Task, make_task

ASKED = 128  # images at a time for the tangent features


@dataclass(frozen=True)
class CompensationTargets:
    """The teacher's logits, and the tangent kernel of teacher, simulated student or both.

    Attributes:
        teacher: The teacher's targets on the captured images.
        student: The hybrid network with the optics as designed, in inference mode.
        images: The raw images that were captured, (N, C, H, W) uint8.
        layers: Of the student, whose tangent kernel is matched.
        source: Whose kernel is matched.
    """

    teacher: StoredTargets
    student: nn.Module
    images: Tensor
    layers: str | tuple[str, ...]
    source: TangentTeacher

    def take(self, indices: Tensor) -> CompensationTargets:
        """What is known of the images at these positions, in this order."""
        teacher, kept = self.teacher, indices.to(self.teacher.table.device)
        stored = StoredTargets(
            teacher.table[kept],
            None if teacher.gram is None else teacher.gram[kept[:, None], kept],
            None if teacher.features is None else teacher.features[kept],
        )
        return replace(self, teacher=stored, images=self.images[indices])

    def predict_labels(self, task: Task, indices: Tensor) -> Tensor:
        """What the teacher says of the images at these positions, (B, ...)."""
        return task.predict(self.teacher.look_up(indices)).cpu()

    def logits(self, indices: Tensor, scene: Inputs) -> Tensor:
        """The teacher's logits, (B, classes)."""
        return self.teacher.logits(indices, scene)

    def kernel(self, indices: Tensor, scene: Inputs, pixels: SampledPixels | None = None) -> Tensor:
        """The kernel to match, (B, B); of both, the mean of the two centred and normalised.

        Raises:
            ValueError: It is asked for on pixels.
        """
        if pixels is not None:
            raise ValueError("a compensation matches the kernels of images, not of their pixels")
        if self.source == "teacher":
            return self.teacher.kernel(indices, scene)
        student = self._student_kernel(indices).to(indices.device)
        if self.source == "student":
            return student
        kernels = [centre(student), centre(self.teacher.kernel(indices, scene))]
        return sum(kernel / torch.linalg.norm(kernel) for kernel in kernels) / 2  # type: ignore[return-value]

    def _student_kernel(self, indices: Tensor) -> Tensor:
        device = next(self.student.parameters()).device
        with record(self.student, self.layers) as trace:
            logits = self.student(to_scene(self.images[indices.cpu()]).to(device))
        return trace.kernel(logits).detach()


def compute_targets(
    spec: Spec,
    settings: Compensation,
    student: HybridNetwork,
    teacher: nn.Module,
    shown: ImageSet,
    progress: Progress,
) -> CompensationTargets:
    """The teacher's targets to the raw images; its tangent features only where they are matched.

    Args:
        spec: The task.
        settings: Methods, and what of the tangent kernels is matched.
        student: With the optics as designed.
        teacher: The teacher, in inference mode; it moves to the device of the fine-tuning.
        shown: The images that are learnt from.
        progress: Shows how far it is.
    """
    device, sketch = choose_device(settings.training.device), None
    teacher = teacher.to(device)
    if any(map(needs_kernel, settings.trained)) and settings.tangent_teacher != "student":
        tangent = settings.distillation.tangent
        probes = make_task(spec.task).contraction(tangent.probes)
        ask = ask_sketch(tangent.teacher_layers, probes)
        with progress.bar("teacher's tangents", len(shown)) as advance:
            (sketch,) = ask_of_images(
                teacher, (shown.images,), ask, ASKED, advance, torch.contiguous_format
            )
    stored = StoredTargets(predict(teacher, shown.images), None, sketch).to(device)
    layers = settings.distillation.tangent.layers
    return CompensationTargets(stored, student, shown.images, layers, settings.tangent_teacher)
