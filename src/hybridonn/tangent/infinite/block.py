"""The convolution block that random features can stand for, and the dense layers behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hybridonn.tangent.errors import TangentError
from hybridonn.tangent.infinite.geometry import Shape, pool_windows, shapes_of
from hybridonn.tangent.infinite.layers import (
    AdaptiveAveragePool,
    AveragePool,
    Convolution,
    Dense,
    Flatten,
    Layer,
    Pool,
    Relu,
)


@dataclass(frozen=True)
class Block:
    """Convolution, ReLU, poolings, flatten; then dense layers.

    Each cell is one position of the pooled map: the positions p of the convolution's
    output that it averages, with their weights a_p (which sum to 1).

    Attributes:
        convolution: the convolution.
        pixels: index into the padded image's C (H + 2 P) (W + 2 P) pixels of every
            entry of every patch, (cells, positions, C k k) int64.
        weights: a_p, (cells, positions) float64; 0 fills up the smaller cells.
        dense: the layers behind ``Flatten``.
    """

    convolution: Convolution
    pixels: Tensor
    weights: Tensor
    dense: tuple[Layer, ...]

    @property
    def cells(self) -> int:
        """Positions of the pooled map."""
        return len(self.weights)


def starts_with_block(layers: Sequence[Layer]) -> bool:
    """Whether random features can stand for the start of this network.

    Args:
        layers: the network.

    Returns:
        Whether it is convolution, ReLU, poolings and flatten, then dense layers and ReLUs alone.
    """
    kinds = [type(layer) for layer in layers]
    if kinds[:2] != [Convolution, Relu] or Flatten not in kinds:
        return False
    flatten = kinds.index(Flatten)
    pools = all(kind in (AveragePool, AdaptiveAveragePool) for kind in kinds[2:flatten])
    return pools and all(kind in (Dense, Relu) for kind in kinds[flatten + 1 :])


def split_block(layers: Sequence[Layer], channels: int, image: Shape) -> Block:
    """Split a network into its convolution block and the dense layers behind it.

    Args:
        layers: convolution, ReLU, any poolings, flatten, then dense layers and ReLUs.
        channels: number of channels of the images.
        image: shape of the images.

    Returns:
        The block, with the layers behind it.

    Raises:
        TangentError: the network has another form.
    """
    convolution = layers[0] if layers else None
    if not starts_with_block(layers) or not isinstance(convolution, Convolution):
        raise TangentError(
            "random features stand for Convolution, Relu, poolings, Flatten, then dense layers; "
            f"this network is {', '.join(type(layer).__name__ for layer in layers)}: "
            "use the exact kernel"
        )
    flatten = [type(layer) for layer in layers].index(Flatten)
    shapes = shapes_of(layers, image)
    pools = [layer for layer in layers[2:flatten] if isinstance(layer, Pool)]
    positions, weights = _cells(pools, shapes[2 : flatten + 1])
    patches = _patches(convolution, channels, image, shapes[1])
    return Block(convolution, patches[positions], weights, tuple(layers[flatten + 1 :]))


def _cells(pools: Sequence[Pool], shapes: Sequence[Shape]) -> tuple[Tensor, Tensor]:
    """Positions (cells, s) of each cell and their weights, filled up with weight 0."""
    start = shapes[0]
    rows = torch.eye(start.height, dtype=torch.float64)
    columns = torch.eye(start.width, dtype=torch.float64)
    for pool, shape in zip(pools, shapes, strict=False):
        rows = _pool_matrix(pool, shape.height) @ rows
        columns = _pool_matrix(pool, shape.width) @ columns
    dense = torch.einsum("ay,bx->abyx", rows, columns).flatten(2).flatten(0, 1)
    size = int((dense > 0).sum(1).max())
    weights, positions = dense.topk(size, dim=1)
    return positions, weights


def _pool_matrix(pool: Pool, length: int) -> Tensor:
    """A pooling along one axis as a matrix (out, length)."""
    start, stop = pool_windows(pool, length)
    position = torch.arange(length)
    inside = (position >= start[:, None]) & (position < stop[:, None])
    return inside / (stop - start)[:, None].double()


def _patches(layer: Convolution, channels: int, image: Shape, out: Shape) -> Tensor:
    """Pixels of the patch at every output position, (positions, C k k)."""
    width = image.width + 2 * layer.padding
    area = width * (image.height + 2 * layer.padding)
    tap = torch.arange(layer.kernel_size)
    inside = (tap[:, None] * width + tap).flatten()
    patch = (torch.arange(channels)[:, None] * area + inside).flatten()
    y = torch.arange(out.height) * layer.stride
    x = torch.arange(out.width) * layer.stride
    return (y[:, None] * width + x).flatten()[:, None] + patch
