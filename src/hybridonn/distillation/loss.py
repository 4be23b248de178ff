"""The total objective: task loss + logit distillation + NTK matching."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from hybridonn import spec
from hybridonn.data.indexed import Inputs, Labels, cut_inputs
from hybridonn.distillation.teacher_targets import Knowledge
from hybridonn.tangent import (
    centred_alignment,
    cosine_alignment,
    debiased_alignment,
    mse,
    record,
    ridge_alignment,
)
from hybridonn.tasks.task import Task


@dataclass(frozen=True)
class Batch:
    """What one step sees.

    Attributes:
        inputs: Scenes (B, C, H, W), radiance in [0, 1], or features of each branch.
        labels: (B,) int64, or masks (B, H, W) uint8, or a tensor for each image.
        indices: Positions of the images in the training set, (B,).
        progress: How much of the training is behind this batch, from 0 to 1.
    """

    inputs: Inputs
    labels: Labels
    indices: Tensor
    progress: float = 0.0

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def device(self) -> torch.device:
        """Where the batch lies."""
        return self.indices.device


class Objective:
    """``task_weight * task + kd_weight * KD + ntk_weight * NTK`` on a batch.

    The terms whose weight is zero are not computed. Without knowledge, only
    the task is left: this is also how a teacher is trained.
    """

    def __init__(
        self,
        task: Task,
        distillation: spec.Distillation | None = None,
        knowledge: Knowledge | None = None,
    ) -> None:
        self.task = task
        self.knowledge = knowledge
        self.weights = weigh(distillation)
        self.temperature = distillation.temperature if distillation else 1.0
        self.tangent = distillation.tangent if distillation else spec.Tangent()

    def __call__(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The weighted sum under ``loss``, and each term that went into it under its name."""
        weights = self.weights_at(batch.progress)
        terms: dict[str, Tensor] = {}
        if weights.ntk and self.knowledge:
            logits, terms["ntk"] = self._match(network, batch, self.knowledge)
        else:
            logits = network(batch.inputs)
        logits = logits if logits.dtype == torch.float64 else logits.float()
        if weights.task:
            terms["task"] = self.task.loss(logits, batch.labels)
        if weights.kd and self.knowledge:
            teacher = self.knowledge.logits(batch.indices, batch.inputs)
            terms["kd"] = self.task.divergence(logits, teacher, self.temperature)
        total = sum(getattr(weights, name) * term for name, term in terms.items())
        return {"loss": total} | terms  # type: ignore[dict-item]

    def _match(
        self, network: nn.Module, batch: Batch, knowledge: Knowledge
    ) -> tuple[Tensor, Tensor]:
        """The logits of the training step, and how far the two tangent kernels are apart."""
        compared = self.tangent.count_compared(len(batch))
        whole = compared == len(batch)
        # Batch norm lies before the last layer: each sample still has a gradient of its own there,
        # and the forward pass of training serves for both, if it is that of the whole batch.
        serves = self.tangent.layers == "last" and whole
        coupling = _DropoutNd if serves else _BatchNorm | _DropoutNd
        coupled = any(m.training and isinstance(m, coupling) for m in network.modules())
        inputs = cut_inputs(batch.inputs, 0, compared)  # in random order
        if coupled:
            logits = network(batch.inputs)  # first: it moves batch norm's running statistics
            with inference_mode(network):
                _, student = self._look_at(network, inputs)
        else:
            logits, student = self._look_at(network, inputs)
            if not whole:
                logits = torch.cat(
                    [logits, network(cut_inputs(batch.inputs, compared, len(batch)))]
                )
        teacher = knowledge.kernel(batch.indices[:compared], inputs)
        with torch.autocast(batch.device.type, enabled=False):
            measure = DISCREPANCIES[self.tangent.discrepancy]
            return logits, measure(student, teacher, self.tangent.ridge)

    def _look_at(self, network: nn.Module, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """The outputs of a forward pass, and the tangent kernel of the chosen layers."""
        with record(network, self.tangent.layers) as trace:
            outputs = network(inputs)
        # A kernel of half precision has no digits left once it is centred.
        with torch.autocast(outputs.device.type, enabled=False):
            signs = self.task.contraction(self.tangent.probes)
            return outputs, trace.kernel(outputs, probes=signs)

    def weights_at(self, progress: float) -> Weights:
        """The weights when this share of the training is done: the NTK's follows its schedule."""
        return replace(
            self.weights, ntk=self.weights.ntk * SCHEDULES[self.tangent.schedule](progress)
        )


@contextmanager
def inference_mode(network: nn.Module) -> Iterator[None]:
    """Within this context, batch norm does not couple samples and dropout is off."""
    modes = {module: module.training for module in network.modules()}
    try:
        network.eval()
        yield
    finally:
        for module, training in modes.items():
            module.training = training


@dataclass(frozen=True)
class Weights:
    """The weights that a method leaves of the three terms."""

    task: float = 1.0
    kd: float = 0.0
    ntk: float = 0.0


def weigh(distillation: spec.Distillation | None) -> Weights:
    """The weights of a method: ``none`` keeps the task, ``kd`` adds KD, ``ntkd`` adds both."""
    if distillation is None:
        return Weights()
    kd = distillation.kd_weight if distillation.method in ("kd", "ntkd") else 0.0
    ntk = distillation.ntk_weight if distillation.method == "ntkd" else 0.0
    return Weights(distillation.task_weight, kd, ntk)


# Factors of the NTK's weight whose mean over a training is one.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda progress: 1.0,
    "falling": lambda progress: 2 * (1 - progress),
    "rising": lambda progress: 2 * progress,
}

# Of the two kernels and the ridge; each falls to zero where the kernels agree. Raw MSE is the
# paper's example; it is dominated by the scale of the kernels, which alignments leave out.
DISCREPANCIES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "cka": lambda student, teacher, _: 1 - centred_alignment(student, teacher),
    "debiased_cka": lambda student, teacher, _: 1 - debiased_alignment(student, teacher),
    "ridge_cka": lambda student, teacher, ridge: 1 - ridge_alignment(student, teacher, ridge),
    "cosine": lambda student, teacher, _: 1 - cosine_alignment(student, teacher),
    "mse": lambda student, teacher, _: mse(student, teacher),
}
