"""The pairs of positions that a kernel needs, found backwards from the last layer.

A dense head behind ``Flatten`` needs equal positions only; pooling asks for the
pairs inside its windows, a convolution for the same pairs moved together. So the
network conv-ReLU-flatten needs H W pairs and conv-ReLU-pool-flatten the pairs of
each window, where the whole covariance has (H W)^2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hybridonn.tangent.infinite.geometry import Shape, shapes_of
from hybridonn.tangent.infinite.layers import (
    Convolution,
    Dense,
    Flatten,
    Layer,
    Relu,
    Residual,
)
from hybridonn.tangent.infinite.mixing import mix_columns, mix_flatten, mix_rows


@dataclass(frozen=True)
class WeightedSums:
    """Weighted sums of pairs: ``matrix`` (P_out, P_in), sparse CSR."""

    matrix: Tensor


@dataclass(frozen=True)
class Selection:
    """A choice of pairs: ``index`` (P_out,)."""

    index: Tensor


@dataclass(frozen=True)
class Affine:
    """Weights and biases: covariance times ``scale`` plus ``shift``; trained or fixed."""

    scale: float
    shift: float
    trained: bool


@dataclass(frozen=True)
class Rectification:
    """A ReLU at a list of pairs.

    Attributes:
        name: key of the variances before this ReLU.
        first: positions in the first image of the pairs, (P,).
        second: positions in the second image of the pairs, (P,).
        diagonal: indices of the pairs (p, p) in the list, (positions,), in plans that are
            built to give the variances; else empty.
    """

    name: tuple[int, ...]
    first: Tensor
    second: Tensor
    diagonal: Tensor


@dataclass(frozen=True)
class PathSum:
    """The sum of two paths from the same pairs."""

    branch: tuple[Operation, ...]
    shortcut: tuple[Operation, ...]


Operation = WeightedSums | Selection | Affine | Rectification | PathSum


@dataclass(frozen=True)
class PairPlan:
    """Operations from the pairs of the images to the one pair of the output.

    Attributes:
        operations: operations in the order of the layers.
        first: positions in the first image, (P,) int64.
        second: positions in the second image, (P,) int64.
        values: the most numbers held at once for one pair of images and one kernel.
        rectified: number of arc-cosine evaluations for one pair of images.
    """

    operations: tuple[Operation, ...]
    first: Tensor
    second: Tensor
    values: int
    rectified: int


def plan_pairs(layers: Sequence[Layer], image: Shape, *, variances: bool = False) -> PairPlan:
    """Work out what one entry of the kernel needs.

    Args:
        layers: the network; its output must be a single position.
        image: shape of the images.
        variances: also keep every equal pair (p, p) at every ReLU, for the covariances
            of an image with itself.

    Returns:
        The plan of the pairs and of the operations on them.

    Raises:
        TangentError: a layer does not fit what comes before it.
    """
    operations, codes = _plan(
        tuple(layers), image, torch.zeros(1, dtype=torch.int64), variances, ()
    )
    first, second = codes // image.positions, codes % image.positions
    return PairPlan(operations, first, second, _values(operations, len(codes)), _count(operations))


def _plan(
    layers: tuple[Layer, ...],
    image: Shape,
    wanted: Tensor,
    variances: bool,
    path: tuple[int, ...],
) -> tuple[tuple[Operation, ...], Tensor]:
    """The operations of some layers, and the codes of the pairs that they need before them."""
    shapes = shapes_of(layers, image)
    operations: list[Operation] = []
    for number in reversed(range(len(layers))):
        layer, before, after = layers[number], shapes[number], shapes[number + 1]
        name = (*path, number)
        match layer:
            case Relu():
                done, wanted = _plan_relu(wanted, before, variances, name)
            case Residual():
                done, wanted = _plan_sum(layer, wanted, before, variances, name)
            case Dense():
                done = (Affine(layer.weight_variance, layer.bias_variance, layer.trained),)
            case _:
                done, wanted = _plan_windows(layer, wanted, after, before)
        operations[:0] = done
    return tuple(operations), wanted


def _plan_relu(
    wanted: Tensor, shape: Shape, variances: bool, name: tuple[int, ...]
) -> tuple[tuple[Operation, ...], Tensor]:
    """A ReLU at the wanted pairs, and for variances at every equal pair as well."""
    if not variances:
        p, q = wanted // shape.positions, wanted % shape.positions
        return (Rectification(name, p, q, wanted.new_empty(0)),), wanted
    equal = torch.arange(shape.positions) * (shape.positions + 1)
    codes = torch.unique(torch.cat([wanted, equal]))
    p, q = codes // shape.positions, codes % shape.positions
    relu = Rectification(name, p, q, torch.searchsorted(codes, equal))
    return (relu, Selection(torch.searchsorted(codes, wanted))), codes


def _plan_sum(
    layer: Residual, wanted: Tensor, shape: Shape, variances: bool, name: tuple[int, ...]
) -> tuple[tuple[Operation, ...], Tensor]:
    """The sum of two paths, and the codes of the pairs that either of them needs."""
    branch, first = _plan(layer.branch, shape, wanted, variances, (*name, 0))
    shortcut, second = _plan(layer.shortcut, shape, wanted, variances, (*name, 1))
    codes = torch.unique(torch.cat([first, second]))
    start = (
        Selection(torch.searchsorted(codes, first)),
        Selection(torch.searchsorted(codes, second)),
    )
    return (PathSum((start[0], *branch), (start[1], *shortcut)),), codes


def _plan_windows(
    layer: Layer, wanted: Tensor, after: Shape, before: Shape
) -> tuple[tuple[Operation, ...], Tensor]:
    """A layer with windows, along one axis after the other."""
    if isinstance(layer, Flatten):
        matrix, codes = mix_flatten(wanted, before)
        return (WeightedSums(matrix),), codes
    assert not isinstance(layer, Relu | Dense | Residual)
    between = Shape(before.height, after.width)
    rows, codes = mix_rows(layer, wanted, after, between)
    columns, codes = mix_columns(layer, codes, between, before)
    mixes = (WeightedSums(columns), WeightedSums(rows))
    if not isinstance(layer, Convolution):
        return mixes, codes
    return (*mixes, Affine(layer.weight_variance, layer.bias_variance, layer.trained)), codes


def _values(operations: tuple[Operation, ...], entering: int) -> int:
    """The most numbers that the operations hold at once for one pair of images."""
    most = size = entering
    for operation in operations:
        before = size
        match operation:
            case WeightedSums():
                size = operation.matrix.shape[0]
            case Selection():
                size = len(operation.index)
            case PathSum():
                inner = _values(operation.branch, size) + _values(operation.shortcut, size)
                most = max(most, size + inner)
                size = _size(operation.branch, size)
            case _:
                pass
        most = max(most, before + size)
    return most


def _size(operations: tuple[Operation, ...], size: int) -> int:
    """The number of pairs behind the operations."""
    for operation in operations:
        match operation:
            case WeightedSums():
                size = operation.matrix.shape[0]
            case Selection():
                size = len(operation.index)
            case PathSum():
                size = _size(operation.branch, size)
            case _:
                pass
    return size


def _count(operations: tuple[Operation, ...]) -> int:
    """The arc-cosine evaluations of the operations for one pair of images."""
    total = 0
    for operation in operations:
        if isinstance(operation, Rectification):
            total += len(operation.first)
        elif isinstance(operation, PathSum):
            total += _count(operation.branch) + _count(operation.shortcut)
    return total
