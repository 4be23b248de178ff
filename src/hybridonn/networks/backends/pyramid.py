"""Branches joined from coarse to fine by up-convolutions: one answer a pixel."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from hybridonn import spec
from hybridonn.networks.backends.backend import Backend, Shape, branch_arguments
from hybridonn.networks.backends.layers import Normalisation, convolve, enlarge, rectify
from hybridonn.networks.backends.neighbourhood import Neighbourhood, Window


class PyramidBackend(Backend):
    """Branches from coarse to fine, joined by up-convolutions.

    The way up of a U-Net (Ronneberger et al. 2015); the optics are its way down.

    Args:
        kernels: Number of kernels of each branch, from fine to coarse.
        binnings: Binning of each branch; each a multiple of the one before.
        channels: Channels of the digital layers at each resolution.
        classes: Number of classes.
        normalisation: Normalisation of features and layers.
        two_sided: Whether both signs of an image are kept.
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
        self.enlarge = enlarge(channels[0], binnings[0])
        self.head = nn.Conv2d(channels[0], classes, 1)

    @classmethod
    def build(
        cls, student: spec.Student, branch_shapes: tuple[Shape, ...], output_shape: Shape
    ) -> PyramidBackend:
        """The layers of a spec, one width of ``hidden`` a branch."""
        return cls(**branch_arguments(student, output_shape))

    @classmethod
    def neighbourhood(cls, student: spec.Student) -> Neighbourhood:
        """Two convolutions of 3 x 3 at each resolution.

        A level joins the K images of its branch with the channels that come up to it, so that
        its own are K / (K + channels) of them and the coarser branches share the rest.
        """
        shares, left = [], 1.0
        for branch, channels in zip(student.branches[:-1], student.hidden, strict=False):
            pictures = branch.kernels * (1 + (student.rectification == "two_sided"))
            shares.append(left * pictures / (pictures + channels))
            left -= shares[-1]
        windows = ((Window(5),),) * len(student.branches)
        return Neighbourhood(windows, (*shares, left), hidden=2)

    def forward(self, branches: tuple[Tensor, ...]) -> Tensor:
        """Join: one (B, K_b, H / b, W / b) a branch to (B, classes, H, W)."""
        pictures = [step(one) for step, one in zip(self.rectify, branches, strict=True)]
        found = self.levels[-1](pictures[-1])
        for level in reversed(range(len(self.ups))):
            joined = torch.cat([self.ups[level](found), pictures[level]], 1)
            found = self.levels[level](joined)
        return self.head(self.enlarge(found))
