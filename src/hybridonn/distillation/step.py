"""One step of training as the loss terms see it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hybridonn import spec
from hybridonn.data.indexed import Inputs, Labels
from hybridonn.data.transforms.mixing import Mixture
from hybridonn.distillation.teacher_targets import TeacherTargets
from hybridonn.tasks.pixels import SampledPixels
from hybridonn.tasks.task import Task


@dataclass(frozen=True)
class Batch:
    """The images of one training step.

    Attributes:
        inputs: Scenes (B, C, H, W), radiance in [0, 1], or features of each branch.
        labels: (B,) int64, or masks (B, H, W) uint8, or a tensor for each image.
        indices: Positions of the images in the training set, (B,).
        progress: Share of the training that is done before this batch, from 0 to 1.
        mixture: Which images were mixed two by two; None: none were.
    """

    inputs: Inputs
    labels: Labels
    indices: Tensor
    progress: float = 0.0
    mixture: Mixture | None = None

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def device(self) -> torch.device:
        """Where the batch lies."""
        return self.indices.device


class Step:
    """What a loss term reads: the network, the batch, the student's logits and the teacher.

    Attributes:
        network: The network that is trained, in training mode.
        batch: Images, labels and their positions in the training set.
        task: What the network is for: its loss and divergence.
        settings: The section ``distillation`` of the spec.
        agreement: Centred alignment of the teacher's kernel with the labels, once that is known; a
            kernel that does not tell the labels should not be matched.
    """

    def __init__(
        self,
        network: nn.Module,
        batch: Batch,
        task: Task,
        settings: spec.Distillation,
        targets: TeacherTargets | None = None,
    ) -> None:
        self.network = network
        self.batch = batch
        self.task = task
        self.settings = settings
        self._targets = targets
        self.agreement: float | None = None
        self._logits: Tensor | None = None

    @property
    def logits(self) -> Tensor:
        """The student's logits, (B, classes) or (B, classes, H, W); one forward pass for all."""
        if self._logits is None:
            self.logits = self.network(self.batch.inputs)
        assert self._logits is not None
        return self._logits

    @logits.setter
    def logits(self, logits: Tensor) -> None:
        self._logits = logits if logits.dtype == torch.float64 else logits.float()

    def teacher_logits(self) -> Tensor:
        """The teacher's logits on the batch, (B, classes) or (B, classes, H, W).

        Raises:
            ValueError: There is no teacher.
        """
        return self._teacher().logits(self.batch.indices, self.batch.inputs)

    def teacher_kernel(
        self, indices: Tensor, inputs: Inputs, pixels: SampledPixels | None = None
    ) -> Tensor:
        """The teacher's tangent kernel on some images of the batch, (b, b), or on b P pixels.

        Args:
            indices: Positions of the images in the training set, (b,).
            inputs: The images, (b, C, H, W), or their features.
            pixels: P pixels of each image that are the samples; None: the images are.

        Raises:
            ValueError: There is no teacher, or its kernel was not stored.
        """
        return self._teacher().kernel(indices, inputs, pixels)

    def _teacher(self) -> TeacherTargets:
        if self._targets is None:
            raise ValueError(
                "a loss term asks for the teacher, but this training has none; leave the term out"
            )
        return self._targets
