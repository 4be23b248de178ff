"""Analytic NNGP and NTK kernels of infinitely wide networks."""

from hybridonn.tangent.infinite.approximate import DEFAULT_FEATURES, approximate_kernels
from hybridonn.tangent.infinite.block import Block, split_block, starts_with_block
from hybridonn.tangent.infinite.dense_layers import through_dense_layers
from hybridonn.tangent.infinite.geometry import Shape, shapes_of
from hybridonn.tangent.infinite.kernels import (
    count_rectified,
    count_strips,
    finish_strip,
    infinite_kernels,
)
from hybridonn.tangent.infinite.layers import (
    HE_VARIANCE,
    AdaptiveAveragePool,
    AveragePool,
    Convolution,
    Dense,
    Flatten,
    Layer,
    Relu,
    Residual,
)

__all__ = [
    "DEFAULT_FEATURES",
    "HE_VARIANCE",
    "AdaptiveAveragePool",
    "AveragePool",
    "Block",
    "Convolution",
    "Dense",
    "Flatten",
    "Layer",
    "Relu",
    "Residual",
    "Shape",
    "approximate_kernels",
    "count_rectified",
    "count_strips",
    "finish_strip",
    "infinite_kernels",
    "shapes_of",
    "split_block",
    "starts_with_block",
    "through_dense_layers",
]
