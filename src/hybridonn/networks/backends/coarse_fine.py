"""CoarseNet and FineNet, fused: one answer a pixel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hybridonn import spec
from hybridonn.networks.backends.backend import Backend, Shape, branch_arguments
from hybridonn.networks.backends.layers import Normalisation, convolve, enlarge, rectify
from hybridonn.networks.backends.neighbourhood import Neighbourhood, Window


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


class CoarseFineBackend(Backend):
    """CoarseNet and FineNet, fused: after ExtremeC3Net (Park et al. 2019, arXiv 1908.03093).

    CoarseNet finds the objects on the coarse branch with wide sight, FineNet
    their outlines on the fine one with few layers; the sum of the two is
    smoothed and classified.

    Args:
        kernels: Number of kernels of the fine and the coarse branch.
        binnings: Binnings of the two branches; the second a multiple of the first.
        channels: Channels of FineNet and CoarseNet.
        classes: Number of classes.
        normalisation: Normalisation of features and layers.
        two_sided: Whether both signs of an image are kept.
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
        self.enlarge = enlarge(thin, binnings[0])
        self.head = nn.Conv2d(thin, classes, 1)

    @classmethod
    def build(
        cls, student: spec.Student, branch_shapes: tuple[Shape, ...], output_shape: Shape
    ) -> CoarseFineBackend:
        """The layers of a spec, one width of ``hidden`` a branch."""
        return cls(**branch_arguments(student, output_shape))

    @classmethod
    def neighbourhood(cls, student: spec.Student) -> Neighbourhood:
        """Two convolutions of 3 x 3 on the fine branch, dilated ones on the coarse one."""
        wide = (Window(3), *(Window(3, dilation) for dilation in cls.DILATIONS))
        return Neighbourhood(((Window(5),), wide), (0.5, 0.5), hidden=2)

    def forward(self, branches: tuple[Tensor, Tensor]) -> Tensor:
        """Fuse: the fine and the coarse branch's features to (B, classes, H, W)."""
        fine, coarse = branches
        return self.head(self.enlarge(self.fuse(self.fine(fine) + self.coarse(coarse))))
