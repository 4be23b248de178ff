"""What every optical frontend offers: a scene goes in, signed feature maps come out."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class Frontend(nn.Module):
    """What every optical frontend offers, ideal, simulated or measured.

    Contract: scene (B, C, H, W) as radiance in [0, 1] at C wavelengths; a tuple of branches,
    each (B, K_b, H', W') of K_b signed kernels. Optics of one resolution give a tuple of one.

    Attributes:
        kernels: Number of signed kernels K of all branches together.
    """

    kernels: int

    def signed_kernels(self) -> Tensor:
        """The kernels that the optics realise, (K, C, k, k), signed."""
        raise NotImplementedError

    def sensor_kernels(self) -> Tensor:
        """The same as they lie on the sensor, in pixels of the scene, (K, C, n, n)."""
        return self.signed_kernels()

    def forward(self, scene: Tensor) -> tuple[Tensor, ...]:
        """Take the picture: (B, C, H, W) to one (B, K_b, H', W') a branch."""
        raise NotImplementedError


def split_signs(kernels: Tensor) -> tuple[Tensor, Tensor]:
    """The two point spread functions of signed kernels: positive and negative part.

    Args:
        kernels: (K, C, k, k).

    Returns:
        Two tensors of the same shape, not negative; their difference is ``kernels``.
    """
    return F.relu(kernels), F.relu(-kernels)
