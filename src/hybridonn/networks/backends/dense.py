"""Digital backends of classification: signed feature maps go in, logits come out.

Contract: ``Backend(features) -> logits``, features (B, K, H, W), logits
(B, classes) or (B, classes, H, W); those of segmentation are in
:mod:`hybridonn.networks.backends.decoders`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hybridonn.tangent import ScaleShiftRule, register_rule

Normalisation = Literal["none", "batch"]


class ChannelBias(nn.Module):
    """Adds one number to each channel: the offset of the electronics after the subtraction."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor) -> Tensor:
        """Shift: (B, K, H, W) to (B, K, H, W)."""
        return features + self.bias[:, None, None]


register_rule(ChannelBias, ScaleShiftRule(shift="bias"))


class TwoSidedReLU(nn.Module):
    """``(relu(x), relu(-x))``: both halves of a signed picture (Shang et al. 2016, equation 1).

    The electronics subtract the two pictures of a kernel either way round, so
    that no kernel is spent on what another one already measures.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Rectify: (B, K, H, W) to (B, 2 K, H, W)."""
        return torch.cat([F.relu(features), F.relu(-features)], 1)


def rectify(kernels: int, normalisation: Normalisation, two_sided: bool) -> list[nn.Module]:
    """What the electronics do first: gain and offset of each kernel, then a rectification.

    Batch norm (Ioffe and Szegedy 2015) is a gain and an offset a kernel once it
    is trained.
    """
    first = nn.BatchNorm2d(kernels) if normalisation == "batch" else ChannelBias(kernels)
    return [first, TwoSidedReLU() if two_sided else nn.ReLU()]


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
        *,
        normalisation: Normalisation = "none",
        two_sided: bool = False,
        dropout: float = 0.0,
    ) -> None:
        pool = nn.AdaptiveMaxPool2d if pooling == "max" else nn.AdaptiveAvgPool2d
        layers = [*rectify(kernels, normalisation, two_sided), pool(pooled_size), nn.Flatten()]
        widths = [kernels * (1 + two_sided) * pooled_size**2, *hidden]
        for before, after in pairwise(widths):
            layers += [*_drop(dropout), nn.Linear(before, after)]
            layers += [nn.BatchNorm1d(after)] if normalisation == "batch" else []
            layers += [nn.ReLU()]
        super().__init__(*layers, *_drop(dropout), nn.Linear(widths[-1], classes))


def _drop(share: float) -> list[nn.Module]:
    return [nn.Dropout(share)] if share else []
