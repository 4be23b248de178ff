"""What the digital twins of all optics have in common: the camera behind them."""

from __future__ import annotations

import torch
from torch import Tensor


class CameraTwin:
    """A model of the optics and the camera of one branch; each kind of optics has its captures.

    Attributes:
        offsets: Offset of each sub-optic's captures, (K, 2).
        noise: Variance without light and by light, (K, 2, 2).
        nearest: Whose value each pixel of a capture has, (K, 2, H' W') int64: of the true
            captures, too, those outside of the frame hold their neighbour's. None: its own.
    """

    offsets: Tensor
    noise: Tensor
    nearest: Tensor | None

    def pictures(self, scene: Tensor) -> Tensor:
        """The captures without noise: (B, C, H, W) to (B, K, 2, H', W')."""
        raise NotImplementedError

    def fill(self, pictures: Tensor) -> Tensor:
        """Captures whose pixels outside of the frame hold their neighbour's value."""
        if self.nearest is None:
            return pictures
        index = self.nearest.expand(len(pictures), -1, -1, -1)
        return pictures.flatten(3).gather(3, index).view_as(pictures)

    def expose(self, scene: Tensor, gains: Tensor, generator: torch.Generator, out: Tensor) -> None:
        """Write the signed features of a scene with the camera's noise, (B, K, H', W').

        Args:
            scene: (B, C, H, W).
            gains: Gains of both sub-optics of each kernel, (K, 2).
            generator: Generator of the noise.
            out: Where the features go.
        """
        signed = torch.stack([gains[:, 0], -gains[:, 1]], 1)[None, :, :, None, None]
        dark, light = self.noise[None, ..., None, None].unbind(3)
        pictures = self.pictures(scene)
        variance = (signed.square() * (dark + light * pictures.clamp_min(0))).sum(2)
        noise = torch.randn(out.shape, generator=generator)
        out.copy_((signed * pictures).sum(2)).addcmul_(variance.sqrt_(), noise)


def solve_noise(sums: Tensor) -> Tensor:
    """The variance of residuals as a line over the light, (N, 2), not negative.

    Args:
        sums: Sums over all pixels of the count, the light, its square, the squared residual and
            the product of light and squared residual, (5, N) float64.

    Returns:
        Variance without light, then by light, float32.
    """
    count, light, square, squared, product = sums
    spread = count * square - light.square()
    slope = ((count * product - light * squared) / spread.clamp_min(1e-12)).clamp_min(0)
    dark = ((squared - slope * light) / count.clamp_min(1)).clamp_min(0)
    return torch.stack([dark, slope], 1).float()
