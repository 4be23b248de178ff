"""The head of every detector: a heatmap a class, and four distances a cell of 4 x 4 pixels."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from hybridonn.tasks.centres import DISTANCES

PRIOR = 0.01  # chance of an object in a cell before training (Lin et al. 2017, section 4.1)


class CentreHead(nn.Module):
    """A convolution 3 x 3 and one 1 x 1 each, for the heatmap and for the distances.

    After CenterNet (Zhou, Wang and Krähenbühl 2019, arXiv 1904.07850, section 4).

    Args:
        inputs: Channels of the features.
        width: Channels between the two convolutions.
        classes: Number of classes.
    """

    def __init__(self, inputs: int, width: int, classes: int) -> None:
        super().__init__()
        self.heat = _branch(inputs, width, classes)
        self.box = _branch(inputs, width, DISTANCES)
        nn.init.constant_(self.heat[-1].bias, math.log(PRIOR / (1 - PRIOR)))  # type: ignore[arg-type]
        nn.init.constant_(self.box[-1].bias, 1.0)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> Tensor:
        """Answer each cell: (B, K, h, w) to (B, classes + 4, h, w)."""
        return torch.cat([self.heat(features), self.box(features)], 1)


def _branch(inputs: int, width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, outputs, 1)
    )
