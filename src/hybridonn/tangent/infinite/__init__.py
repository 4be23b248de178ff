"""Analytic NNGP and NTK kernels of infinitely wide networks; depends on torch alone."""

from hybridonn.tangent.infinite.approximate import approximate_kernels
from hybridonn.tangent.infinite.kernels import infinite_kernels
from hybridonn.tangent.infinite.layers import (
    AdaptiveAveragePool,
    AveragePool,
    Convolution,
    Dense,
    Flatten,
    Relu,
    Residual,
)

__all__ = [
    "AdaptiveAveragePool",
    "AveragePool",
    "Convolution",
    "Dense",
    "Flatten",
    "Relu",
    "Residual",
    "approximate_kernels",
    "infinite_kernels",
]
