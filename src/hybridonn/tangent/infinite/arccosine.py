"""What a ReLU does to covariances: the arc-cosine map of order 1 and its derivative.

Cho & Saul 2009, "Kernel methods for deep learning", eq. 3 and 6. For jointly Gaussian
(u, v) with variances a, b and correlation t = cos(angle):

    E[relu(u) relu(v)]   = sqrt(a b) (sin(angle) + (pi - angle) t) / (2 pi)
    E[relu'(u) relu'(v)] = (pi - angle) / (2 pi)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def rectify(covariance: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Covariance behind a ReLU, and the factor that it puts on the tangent kernel.

    The correlation is clamped to [-1, 1], so that rounding cannot leave the domain of
    arccos; in float32 the derivative is then good to about 1e-4 near correlation 1
    (the arc cosine turns a rounding error e into sqrt(2 e)), the covariance to 1e-6.
    Where a variance is 0 the activation is 0 and so is its covariance.

    Args:
        covariance: Covariance of the pre-activations, any shape.
        first: Standard deviation of the first, broadcastable.
        second: Standard deviation of the second, broadcastable.

    Returns:
        E[relu(u) relu(v)] and E[relu'(u) relu'(v)], both shaped as ``covariance``.
    """
    scale = first * second
    tiny = torch.finfo(covariance.dtype).tiny
    correlation = (covariance / scale.clamp_min(tiny)).clamp_(-1.0, 1.0)
    derivative = correlation.acos().mul_(-0.5 / math.pi).add_(0.5)
    sine = (1.0 - correlation).mul_(1.0 + correlation).sqrt_()
    rectified = correlation.mul_(derivative).add_(sine, alpha=0.5 / math.pi).mul_(scale)
    return rectified, derivative
