"""A branch of convolving optics as one strided convolution of the scene."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from hybridonn.networks.memory import convolve


@dataclass(frozen=True)
class BranchConvolution:
    """Optics and read-out of one branch as the convolution that they are together.

    Summing b x b pixels of an image is linear and the same at every place, so that a branch of
    binning b is one convolution with a stride of b.

    Attributes:
        weight: What the scene is correlated with, (K, C, n, n).
        stride: Pixels of the scene a pixel of the branch.
        padding: Dark pixels around the scene.
    """

    weight: Tensor
    stride: int
    padding: int

    def __call__(self, scene: Tensor) -> Tensor:
        """Take the image: (B, C, H, W) to (B, K, H', W')."""
        return convolve(scene, self.weight, self.stride, self.padding)

    def read_binned(self, size: int) -> BranchConvolution:
        """The same optics with size x size pixels of each image averaged into one."""
        if size == 1:
            return self
        around = F.pad(self.weight, (size - 1,) * 4)
        # The mean of an image's pixels is the image behind the mean of shifted kernels.
        return BranchConvolution(F.avg_pool2d(around, size, 1), self.stride * size, self.padding)

    def see_binned(self, size: int) -> BranchConvolution:
        """The same optics behind a scene of which size x size pixels were averaged into one."""
        if size == 1:
            return self
        spread = self.weight.repeat_interleave(size, -1).repeat_interleave(size, -2) / size**2
        return BranchConvolution(spread, self.stride * size, self.padding * size)
