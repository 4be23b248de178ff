"""Optical frontends: a scene goes in, signed feature maps come out.

Contract: ``Frontend(scene) -> features``, scene (B, C, H, W) as radiance in
[0, 1] at C wavelengths, features (B, K, H', W') of K signed kernels.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F


class Frontend(nn.Module):
    """What every optical frontend offers, ideal, simulated or measured."""

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


def split_signs(kernels: Tensor) -> tuple[Tensor, Tensor]:
    """The two point spread functions of signed kernels: positive and negative part.

    Args:
        kernels: (K, C, k, k).

    Returns:
        Two tensors of the same shape, not negative; their difference is ``kernels``.
    """
    return F.relu(kernels), F.relu(-kernels)
