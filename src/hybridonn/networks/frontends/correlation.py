"""Correlation of scenes with kernels of any size."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from hybridonn.networks.memory import convolve
from hybridonn.optics.waves.pruned_fft import fast_length

DIRECT = 11  # up to kernels of this side a direct convolution took less time than transforms
# Many kernels of one colour each share a direct convolution; beyond this side it takes seconds an
# image where transforms take half a second (112 sub-optics, images of 128 x 128).
DIRECT_PICTURES = 63


def correlate(scene: Tensor, kernels: Tensor, stride: int = 1) -> Tensor:
    """Correlate a scene with kernels of any size; beyond its edges it is dark.

    Large kernels go through Fourier transforms: the sum is the same.

    Args:
        scene: (B, C, H, W).
        kernels: (K, C, P, P), P odd.
        stride: Every so many pixels of the result are kept.

    Returns:
        (B, K, H', W'), with H' = H / stride rounded up.
    """
    sides = scene.shape[-2:]
    # What lies farther out never meets the scene.
    halves = [min(kernels.shape[-1] // 2, side - 1) for side in sides]
    margins = [kernels.shape[-1] // 2 - half for half in halves]
    kernels = F.pad(kernels, (-margins[1], -margins[1], -margins[0], -margins[0]))
    if max(kernels.shape[-2:]) <= DIRECT:
        return convolve(scene, kernels, stride, tuple(halves))
    shape = tuple(fast_length(side + half) for side, half in zip(sides, halves, strict=True))
    rest = [length - side for length, side in zip(shape, kernels.shape[-2:], strict=True)]
    # Wrapped round, so that the kernel's centre is sample 0.
    centred = F.pad(kernels, (0, rest[1], 0, rest[0])).roll([-half for half in halves], (-2, -1))
    product = torch.einsum(
        "bcyx,kcyx->bkyx", torch.fft.rfft2(scene, s=shape), torch.fft.rfft2(centred).conj()
    )
    return torch.fft.irfft2(product, s=shape)[..., : sides[0] : stride, : sides[1] : stride]
