"""Optical frontends: a scene goes in, signed feature maps come out.

Contract: ``Frontend(scene) -> features``, scene (B, C, H, W) as radiance in
[0, 1] at C wavelengths, features (B, K, H', W') of K signed kernels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Frontend(nn.Module):
    """What every optical frontend offers, ideal, simulated or measured.

    One of several branches (:class:`ParallelFrontend`) gives a tuple of features.
    """

    kernels: int

    def signed_kernels(self) -> Tensor:
        """The kernels that the optics realise, (K, C, k, k), signed."""
        raise NotImplementedError

    def forward(self, scene: Tensor) -> Tensor:
        """Take the picture: (B, C, H, W) to (B, K, H', W')."""
        raise NotImplementedError


class IdealConvolution(Frontend):
    """A convolution as perfect optics would take it.

    Light is incoherent, so each signed kernel stands for two point spread
    functions, its positive and its negative part, whose pictures are
    subtracted. The sum is linear: here both are taken in one convolution.
    The sensor is as large as the scene and sees darkness around it, so a
    feature map has the size of the scene, divided by the stride and rounded
    up. There is no bias: optics add none.

    ``torch`` correlates; the point spread function of a kernel is the kernel
    turned by 180 degrees.
    """

    def __init__(self, kernels: int, kernel_size: int, wavelengths: int, stride: int = 1) -> None:
        super().__init__()
        self.kernels = kernels
        self.convolution = nn.Conv2d(
            wavelengths, kernels, kernel_size, stride, padding=kernel_size // 2, bias=False
        )
        # He et al. 2015, equation 10: a ReLU follows the subtraction.
        fan_in = wavelengths * kernel_size**2
        nn.init.normal_(self.convolution.weight, std=math.sqrt(2 / fan_in))

    def signed_kernels(self) -> Tensor:
        """The kernels, (K, C, k, k)."""
        return self.convolution.weight

    def forward(self, scene: Tensor) -> Tensor:
        """Convolve: (B, C, H, W) to (B, K, H', W')."""
        return self.convolution(scene)


class ParallelFrontend(Frontend):
    """Several frontends side by side that look at the same scene, each at its own resolution.

    A branch with binning b sums b x b pixels of its sensor into one and has a
    point spread function that is b times as large: taking the picture with
    kernel w and binning is to convolve the mean of b x b pixels of the scene
    with w, which is how it is computed here. So a branch is a frontend of its
    own, ideal, simulated or measured, and knows nothing of binning.

    Args:
        branches: The frontends.
        binnings: Pixels of the scene, along one side, in a pixel of each branch.
    """

    def __init__(self, branches: Sequence[Frontend], binnings: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.binnings = tuple(binnings)
        self.kernels = sum(branch.kernels for branch in branches)

    def signed_kernels(self) -> Tensor:
        """All branches' kernels, (K, C, k, k); smaller ones lie in the middle of zeros.

        One number is one pixel of its own branch's sensor, ``binning`` pixels of the scene.
        """
        found = [branch.signed_kernels() for branch in self.branches]  # pyright: ignore[reportCallIssue]
        side = max(kernels.shape[-1] for kernels in found)
        return torch.cat([F.pad(k, 4 * [(side - k.shape[-1]) // 2]) for k in found])

    def forward(self, scene: Tensor) -> tuple[Tensor, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take the pictures: (B, C, H, W) to one (B, K_b, H / b, W / b) a branch."""
        pairs = zip(self.branches, self.binnings, strict=True)
        return tuple(
            branch(F.avg_pool2d(scene, size) if size > 1 else scene) for branch, size in pairs
        )


def as_branches(features: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """What a frontend gave, one picture stack a branch, whether it has one branch or several."""
    return features if isinstance(features, tuple) else (features,)


def split_signs(kernels: Tensor) -> tuple[Tensor, Tensor]:
    """The two point spread functions of signed kernels: positive and negative part.

    Args:
        kernels: (K, C, k, k).

    Returns:
        Two tensors of the same shape, not negative; their difference is ``kernels``.
    """
    return F.relu(kernels), F.relu(-kernels)
