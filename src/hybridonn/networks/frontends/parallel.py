"""Several frontends side by side, each at its own resolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hybridonn.networks.frontends.binned import bin_pixels
from hybridonn.networks.frontends.frontend import Frontend


class ParallelFrontend(Frontend):
    """Several frontends side by side that look at the same scene, each at its own resolution.

    A branch with binning b sums b x b pixels of its sensor into one and has a
    point spread function that is b times as large: the weights of its kernel w
    lie b pixels apart, each in one pixel, since the sum over the sensor's
    pixels is all the blur that is wanted. Both operations are linear and the
    same at every place, so that their order does not matter: here the mean of
    b x b pixels of the scene is taken first and then convolved with w. So a
    branch is an ideal frontend of its own and knows nothing of binning; what
    light does, :class:`BinnedFrontend` takes in its own order.

    Args:
        branches: The frontends.
        binnings: Pixels of the scene, along one side, in a pixel of each branch.
    """

    def __init__(self, branches: Sequence[Frontend], binnings: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.binnings = tuple(binnings)
        self.kernels = sum(branch.kernels for branch in branches)

    def pairs(self) -> list[tuple[Frontend, int]]:
        """Each branch with its binning."""
        branches = cast("list[Frontend]", list(self.branches))
        return list(zip(branches, self.binnings, strict=True))

    def signed_kernels(self) -> Tensor:
        """All branches' kernels, (K, C, k, k); smaller ones lie in the middle of zeros.

        One number is one pixel of its own branch's sensor, ``binning`` pixels of the scene.
        """
        found = [branch.signed_kernels() for branch, _ in self.pairs()]
        side = max(kernels.shape[-1] for kernels in found)
        return torch.cat([frame(kernels, side) for kernels in found])

    def sensor_kernels(self) -> Tensor:
        """All branches' kernels on the sensor, (K, C, n, n), the smaller in the middle of zeros."""
        found = [spread(branch.signed_kernels(), size) for branch, size in self.pairs()]
        side = max(kernels.shape[-1] for kernels in found)
        return torch.cat([frame(kernels, side) for kernels in found])

    def forward(self, scene: Tensor) -> tuple[Tensor, ...]:
        """Take the pictures: (B, C, H, W) to one (B, K_b, H / b, W / b) a branch."""
        seen = [branch(bin_pixels(scene, size)) for branch, size in self.pairs()]
        return tuple(one for features in seen for one in features)


def spread(kernels: Tensor, binning: int) -> Tensor:
    """Put the weights of kernels so many pixels apart, darkness between them.

    Args:
        kernels: (K, C, k, k).
        binning: Pixels from one weight to the next.

    Returns:
        (K, C, n, n), n = (k - 1) binning + 1.
    """
    side = (kernels.shape[-1] - 1) * binning + 1
    apart = kernels.new_zeros(*kernels.shape[:-2], side, side)
    apart[..., ::binning, ::binning] = kernels
    return apart


def frame(kernels: Tensor, side: int) -> Tensor:
    """Kernels (K, C, k, k) in the middle of zeros, (K, C, side, side)."""
    return F.pad(kernels, 4 * [(side - kernels.shape[-1]) // 2])
