"""Digital backends of segmentation: feature maps go in, a logit for each pixel and class comes out.

Contract: ``Backend(features) -> logits``, features (B, K, H, W) or one such
tensor a branch, from fine to coarse; logits (B, classes, H, W).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from hybridonn.networks.backends.dense import Normalisation, rectify


def convolve(
    inputs: int, outputs: int, normalisation: Normalisation, size: int = 3
) -> list[nn.Module]:
    """A convolution that keeps the size, its normalisation and a ReLU."""
    # Batch norm makes the bias of the convolution idle.
    batch = normalisation == "batch"
    layer = nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=not batch)
    return [layer, *([nn.BatchNorm2d(outputs)] if batch else []), nn.ReLU()]


class PyramidBackend(nn.Module):
    """Branches from coarse to fine, joined by up-convolutions.

    The way up of a U-Net (Ronneberger et al. 2015); the optics are its way down.

    Args:
        kernels: Of each branch, from fine to coarse.
        binnings: Of each branch; each a multiple of the one before.
        channels: Of the digital layers at each resolution.
        classes: Number of classes.
        normalisation: Of features and layers.
        two_sided: Whether both signs of a picture are kept.
    """

    def __init__(
        self,
        kernels: Sequence[int],
        binnings: Sequence[int],
        channels: Sequence[int],
        classes: int,
        normalisation: Normalisation,
        two_sided: bool = False,
    ) -> None:
        super().__init__()
        self.rectify = nn.ModuleList(
            nn.Sequential(*rectify(count, normalisation, two_sided)) for count in kernels
        )
        seen = [count * (1 + two_sided) for count in kernels]
        below = [*channels[1:], 0]  # what comes up to a level, once it has its channels
        self.levels = nn.ModuleList(
            nn.Sequential(
                *convolve(inputs + (width if up else 0), width, normalisation),
                *convolve(width, width, normalisation),
            )
            for inputs, width, up in zip(seen, channels, below, strict=True)
        )
        factors = [coarse // fine for fine, coarse in pairwise(binnings)]
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(up, width, factor, factor)
            for up, width, factor in zip(below, channels, factors, strict=False)
        )
        self.enlarge = _enlarge(channels[0], binnings[0])
        self.head = nn.Conv2d(channels[0], classes, 1)

    def forward(self, features: tuple[Tensor, ...]) -> Tensor:
        """Join: one (B, K_b, H / b, W / b) a branch to (B, classes, H, W)."""
        pictures = [step(one) for step, one in zip(self.rectify, features, strict=True)]
        found = self.levels[-1](pictures[-1])
        for level in reversed(range(len(self.ups))):
            joined = torch.cat([self.ups[level](found), pictures[level]], 1)
            found = self.levels[level](joined)
        return self.head(self.enlarge(found))


class ConcentratedBlock(nn.Module):
    """Concentrated-comprehensive convolution: wide sight at the price of depthwise layers.

    Park, Yoo and Kwak 2019 (arXiv 1812.04920, section 3.2): depthwise
    convolutions of a column and a row gather the neighbourhood that a dilated
    one would skip; the dilated depthwise convolution and a pointwise one
    follow, with a residual path as in ExtremeC3Net.
    """

    def __init__(self, channels: int, dilation: int, normalisation: Normalisation) -> None:
        super().__init__()
        reach = 2 * dilation - 1
        bias = normalisation == "none"
        norm = [nn.BatchNorm2d(channels)] if normalisation == "batch" else []
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, (reach, 1), padding=(dilation - 1, 0), groups=channels),
            nn.Conv2d(channels, channels, (1, reach), padding=(0, dilation - 1), groups=channels),
            nn.ReLU(),
            nn.Conv2d(
                channels,
                channels,
                3,
                padding=dilation,
                dilation=dilation,
                groups=channels,
                bias=False,
            ),
            nn.Conv2d(channels, channels, 1, bias=bias),
            *norm,
        )

    def forward(self, features: Tensor) -> Tensor:
        """Look wider: (B, C, H, W) to (B, C, H, W)."""
        return torch.relu(features + self.body(features))


class CoarseFineBackend(nn.Module):
    """CoarseNet and FineNet, fused: after ExtremeC3Net (Park et al. 2019, arXiv 1908.03093).

    CoarseNet finds the objects on the coarse branch with wide sight, FineNet
    their outlines on the fine one with few layers; the sum of the two is
    smoothed and classified.

    Args:
        kernels: Of the fine and the coarse branch.
        binnings: Of the two; the second a multiple of the first.
        channels: Of FineNet and CoarseNet.
        classes: Number of classes.
        normalisation: Of features and layers.
        two_sided: Whether both signs of a picture are kept.
    """

    DILATIONS = (2, 4, 8)  # of ExtremeC3Net's advanced blocks

    def __init__(
        self,
        kernels: Sequence[int],
        binnings: Sequence[int],
        channels: Sequence[int],
        classes: int,
        normalisation: Normalisation,
        two_sided: bool = False,
    ) -> None:
        super().__init__()
        fine, coarse = (count * (1 + two_sided) for count in kernels)
        thin, wide = channels
        self.coarse = nn.Sequential(
            *rectify(kernels[1], normalisation, two_sided),
            *convolve(coarse, wide, normalisation),
            *(ConcentratedBlock(wide, d, normalisation) for d in self.DILATIONS),
            nn.Conv2d(wide, thin, 1),
            nn.Upsample(
                scale_factor=binnings[1] // binnings[0], mode="bilinear", align_corners=False
            ),
        )
        self.fine = nn.Sequential(
            *rectify(kernels[0], normalisation, two_sided),
            *convolve(fine, thin, normalisation),
            nn.Conv2d(thin, thin, 1),
        )
        self.fuse = nn.Sequential(
            *rectify(thin, normalisation, False), *convolve(thin, thin, normalisation)
        )
        self.enlarge = _enlarge(thin, binnings[0])
        self.head = nn.Conv2d(thin, classes, 1)

    def forward(self, features: tuple[Tensor, Tensor]) -> Tensor:
        """Fuse: the fine and the coarse branch's features to (B, classes, H, W)."""
        fine, coarse = features
        return self.head(self.enlarge(self.fuse(self.fine(fine) + self.coarse(coarse))))


class UpsamplingBackend(nn.Sequential):
    """Offset, ReLU, and one up-convolution: the head of the random-kernel systems.

    The up-convolution sees 3 x 3 pixels of the sensor around each pixel that it makes.
    """

    def __init__(
        self,
        kernels: int,
        stride: int,
        classes: int,
        normalisation: Normalisation,
        two_sided: bool = False,
    ) -> None:
        inputs = kernels * (1 + two_sided)
        super().__init__(
            *rectify(kernels, normalisation, two_sided),
            nn.ConvTranspose2d(inputs, classes, 3 * stride, stride, padding=stride),
        )


def _enlarge(channels: int, factor: int) -> nn.Module:
    """From the finest branch's resolution to the scene's."""
    return nn.ConvTranspose2d(channels, channels, factor, factor) if factor > 1 else nn.Identity()
