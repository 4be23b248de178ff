"""How far a file that was written for a device agrees with the network in torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hybridonn.tasks.task import Task


@dataclass(frozen=True)
class Agreement:
    """A file beside torch on the same images.

    Attributes:
        difference: Largest difference of an output, relative to the largest output.
        same: Share of the predictions that agree, of images, of their pixels or of their boxes.
        metric: The metric of the file.
        images: Number of images.
    """

    difference: float
    same: float
    metric: float
    images: int

    def as_numbers(self, metric: str) -> dict[str, Any]:
        """What results.json holds of it."""
        return {
            "largest_relative_difference": self.difference,
            "same_predictions": self.same,
            metric: self.metric,
        }


def compare(task: Task, torch_logits: Tensor, logits: Tensor, labels: Tensor) -> Agreement:
    """Compare the outputs of a file with those of torch.

    Args:
        task: What the network is for.
        torch_logits: Outputs of torch, (N, ...).
        logits: Outputs of the file for the same images.
        labels: Labels of the images.
    """
    largest = torch_logits.abs().max().clamp_min(torch.finfo(torch_logits.dtype).tiny)
    difference = float((logits - torch_logits).abs().max() / largest)
    same = task.share_same(task.predict(logits), task.predict(torch_logits))
    metric = task.measure(logits, labels)[task.metric]
    return Agreement(difference, same, metric, len(labels))
