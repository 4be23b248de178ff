"""Linear layers as sparse matrices between lists of position pairs.

The covariance of a map at two positions p (of one image) and q (of the other) is
stored under the code ``p * positions + q``, with ``p = y * width + x``. A linear
layer with windows gives every pair behind it as a weighted sum of pairs before it
(Arora et al. 2019, arXiv 1904.11955, section 4.1); rows and columns are done one
after the other, which makes a k x k convolution 2 k additions and not k^2.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from hybridonn.tangent.infinite.geometry import Shape, pool_windows
from hybridonn.tangent.infinite.layers import Convolution, Pool


@dataclass(frozen=True)
class Taps:
    """The pairs that each of P pairs depends on along one axis, at most T of them.

    Attributes:
        first: Position in the first image, (P, T) int64.
        second: Position in the second image, (P, T) int64.
        weight: Its weight, (P, T) float64; 0 where there is no such pair.
    """

    first: Tensor
    second: Tensor
    weight: Tensor


def convolution_taps(layer: Convolution, first: Tensor, second: Tensor, length: int) -> Taps:
    """Both positions move together: the weights at one tap are shared, others independent.

    Args:
        layer: The convolution.
        first: Output positions in the first image, (P,).
        second: Output positions in the second image, (P,).
        length: Number of input positions along this axis.
    """
    shift = torch.arange(layer.kernel_size) - layer.padding
    first = first[:, None] * layer.stride + shift
    second = second[:, None] * layer.stride + shift
    inside = (first >= 0) & (first < length) & (second >= 0) & (second < length)
    return Taps(first, second, inside.double() / layer.kernel_size)


def pool_taps(layer: Pool, first: Tensor, second: Tensor, length: int) -> Taps:
    """Every position of the first window with every position of the second.

    Args:
        layer: The pooling.
        first: Output positions in the first image, (P,).
        second: Output positions in the second image, (P,).
        length: Number of input positions along this axis.
    """
    start, stop = pool_windows(layer, length)
    sizes = stop - start
    step = torch.arange(int(sizes.max()))
    p = (start[first][:, None, None] + step[:, None]).expand(-1, -1, len(step))
    q = (start[second][:, None, None] + step).expand(-1, len(step), -1)
    inside = (p < stop[first][:, None, None]) & (q < stop[second][:, None, None])
    weight = inside / (sizes[first] * sizes[second]).double()[:, None, None]
    return Taps(p.flatten(1), q.flatten(1), weight.flatten(1))


def mix_rows(layer: Convolution | Pool, codes: Tensor, after: Shape, before: Shape):
    """The layer along the vertical axis; arguments and result as of :func:`mix_columns`."""
    p, q = codes // after.positions, codes % after.positions
    taps = _taps(layer, p // after.width, q // after.width, before.height)
    p_code = taps.first * after.width + (p % after.width)[:, None]
    q_code = taps.second * after.width + (q % after.width)[:, None]
    return _matrix(p_code * (before.height * after.width) + q_code, taps.weight)


def mix_columns(
    layer: Convolution | Pool, codes: Tensor, after: Shape, before: Shape
) -> tuple[Tensor, Tensor]:
    """The layer along the horizontal axis.

    Args:
        layer: The layer with windows.
        codes: Pairs that are needed behind it, (P,), sorted, in a map of shape ``after``.
        after: Shape behind this axis is done.
        before: Shape before this axis is done.

    Returns:
        The sparse matrix (P, P') and the codes (P',) of the pairs that it needs.
    """
    p, q = codes // after.positions, codes % after.positions
    taps = _taps(layer, p % after.width, q % after.width, before.width)
    p_code = taps.first + (p // after.width * before.width)[:, None]
    q_code = taps.second + (q // after.width * before.width)[:, None]
    return _matrix(p_code * before.positions + q_code, taps.weight)


def mix_flatten(codes: Tensor, before: Shape) -> tuple[Tensor, Tensor]:
    """Flatten: the mean over equal positions (weights at two positions are independent)."""
    diagonal = torch.arange(before.positions) * (before.positions + 1)
    weight = torch.full((1, before.positions), 1.0 / before.positions, dtype=torch.float64)
    return _matrix(diagonal[None].expand(len(codes), -1), weight.expand(len(codes), -1))


def _taps(layer: Convolution | Pool, first: Tensor, second: Tensor, length: int) -> Taps:
    """The pairs before a layer that each pair behind it depends on, along one axis."""
    if isinstance(layer, Convolution):
        return convolution_taps(layer, first, second, length)
    return pool_taps(layer, first, second, length)


def _matrix(sources: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """A sparse matrix (P, P') from the codes (P, T) that every row depends on."""
    used = weight > 0
    needed, column = torch.unique(sources[used], return_inverse=True)
    starts = torch.zeros(len(sources) + 1, dtype=torch.int64)
    torch.cumsum(used.sum(1), 0, out=starts[1:])
    with warnings.catch_warnings():  # torch calls every CSR matrix beta
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
        matrix = torch.sparse_csr_tensor(
            starts.int(),
            column.int(),
            weight[used],
            (len(sources), len(needed)),
            check_invariants=True,
        )
    return matrix, needed
