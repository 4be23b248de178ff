"""The head of every detector: a heatmap a class, and four distances a cell of 4 x 4 pixels."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from hybridonn.tasks.centres import DISTANCES

PRIOR = 0.01  # chance of an object in a cell before training (Lin et al. 2017, section 4.1)
FIRST_LOG = 1.0  # logarithm of a distance in cells before training


class CentreHead(nn.Sequential):
    """A convolution 3 x 3 and one 1 x 1, which gives heatmap and distances together.

    After CenterNet (Zhou, Wang and Krähenbühl 2019, arXiv 1904.07850, section 4). Its heads are
    apart; here one last layer holds both, so that its tangent kernel is that of all outputs.

    Args:
        inputs: Channels of the features.
        width: Channels between the two convolutions for heatmap and for distances each.
        classes: Number of classes.
    """

    def __init__(self, inputs: int, width: int, classes: int) -> None:
        last = nn.Conv2d(2 * width, classes + DISTANCES, 1)
        super().__init__(nn.Conv2d(inputs, 2 * width, 3, padding=1), nn.ReLU(), last)
        first = [math.log(PRIOR / (1 - PRIOR))] * classes + [FIRST_LOG] * DISTANCES
        assert last.bias is not None
        with torch.no_grad():
            last.bias.copy_(torch.tensor(first))

    def forward(self, features: Tensor) -> Tensor:
        """Answer each cell: (B, K, h, w) to (B, classes + 4, h, w)."""
        return super().forward(features)
