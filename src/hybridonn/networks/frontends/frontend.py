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

    def sensor_kernels(self) -> Tensor:
        """The same as they lie on the sensor, in pixels of the scene, (K, C, n, n)."""
        return self.signed_kernels()

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

    def signed_kernels(self) -> Tensor:
        """All branches' kernels, (K, C, k, k); smaller ones lie in the middle of zeros.

        One number is one pixel of its own branch's sensor, ``binning`` pixels of the scene.
        """
        found = [branch.signed_kernels() for branch in self.branches]  # pyright: ignore[reportCallIssue]
        side = max(kernels.shape[-1] for kernels in found)
        return torch.cat([frame(kernels, side) for kernels in found])

    def sensor_kernels(self) -> Tensor:
        """All branches' kernels on the sensor, (K, C, n, n), the smaller in the middle of zeros."""
        pairs = zip(self.branches, self.binnings, strict=True)
        found = [spread(branch.signed_kernels(), size) for branch, size in pairs]  # pyright: ignore[reportCallIssue]
        side = max(kernels.shape[-1] for kernels in found)
        return torch.cat([frame(kernels, side) for kernels in found])

    def forward(self, scene: Tensor) -> tuple[Tensor, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take the pictures: (B, C, H, W) to one (B, K_b, H / b, W / b) a branch."""
        pairs = zip(self.branches, self.binnings, strict=True)
        return tuple(
            branch(F.avg_pool2d(scene, size) if size > 1 else scene) for branch, size in pairs
        )


class BinnedFrontend(Frontend):
    """One chip whose kernels are read out at several resolutions, as light and camera do it.

    All pictures are taken at the pixels of the scene; then the camera's pixels are summed
    by branch, b x b into one, and divided by their number. With the kernels of
    :meth:`ParallelFrontend.sensor_kernels` this is what that frontend computes.

    Args:
        frontend: Of all kernels, at a stride of 1.
        kernels: How many of them each branch has, in their order.
        binnings: Pixels of the scene, along one side, in a pixel of each branch.
    """

    def __init__(self, frontend: Frontend, kernels: Sequence[int], binnings: Sequence[int]) -> None:
        super().__init__()
        self.frontend = frontend
        self.kernels = frontend.kernels
        self.counts, self.binnings = tuple(kernels), tuple(binnings)

    def signed_kernels(self) -> Tensor:
        """What the optics realise on the sensor, in pixels of the scene, (K, C, n, n)."""
        return self.frontend.signed_kernels()

    def forward(self, scene: Tensor) -> tuple[Tensor, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take the pictures: (B, C, H, W) to one (B, K_b, H / b, W / b) a branch."""
        pictures = self.frontend(scene).split(self.counts, 1)
        pairs = zip(pictures, self.binnings, strict=True)
        return tuple(F.avg_pool2d(some, size) if size > 1 else some for some, size in pairs)


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
