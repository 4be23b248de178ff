"""Digital backends: signed feature maps go in, logits come out.

Contract: ``Backend(features) -> logits``, features (B, K, H, W), logits
(B, classes) or (B, classes, H, W).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from hybridonn.tangent import ScaleShiftRule, register_rule


class ChannelBias(nn.Module):
    """Adds one number to each channel: the offset of the electronics after the subtraction."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor) -> Tensor:
        """Shift: (B, K, H, W) to (B, K, H, W)."""
        return features + self.bias[:, None, None]


register_rule(ChannelBias, ScaleShiftRule(shift="bias"))


class DenseBackend(nn.Sequential):
    """Offset, ReLU, pooling, then dense layers.

    A purely linear network cannot reach the numbers of the paper (a linear
    classifier ends near 92 % on MNIST), so an electronic nonlinearity follows
    the subtraction.
    """

    def __init__(
        self,
        kernels: int,
        pooled_size: int,
        hidden: Sequence[int],
        classes: int,
        pooling: Literal["average", "max"] = "average",
    ) -> None:
        pool = nn.AdaptiveMaxPool2d if pooling == "max" else nn.AdaptiveAvgPool2d
        layers: list[nn.Module] = [
            ChannelBias(kernels),
            nn.ReLU(),
            pool(pooled_size),
            nn.Flatten(),
        ]
        widths = [kernels * pooled_size**2, *hidden]
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU()]
        super().__init__(*layers, nn.Linear(widths[-1], classes))
