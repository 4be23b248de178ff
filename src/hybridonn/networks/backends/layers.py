"""Layers that several backends are made of."""

from __future__ import annotations

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


def convolve(
    inputs: int, outputs: int, normalisation: Normalisation, size: int = 3
) -> list[nn.Module]:
    """A convolution that keeps the size, its normalisation and a ReLU."""
    # Batch norm makes the bias of the convolution idle.
    batch = normalisation == "batch"
    layer = nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=not batch)
    return [layer, *([nn.BatchNorm2d(outputs)] if batch else []), nn.ReLU()]


def enlarge(channels: int, factor: int) -> nn.Module:
    """From the finest branch's resolution to the scene's."""
    return nn.ConvTranspose2d(channels, channels, factor, factor) if factor > 1 else nn.Identity()
