"""Which pairs of positions a kernel needs, worked out backwards from the head.

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
class Mix:
    """Weighted sums of pairs: ``matrix`` (P_out, P_in), sparse CSR."""

    matrix: Tensor


@dataclass(frozen=True)
class Pick:
    """Some of the pairs: ``index`` (P_out,)."""

    index: Tensor


@dataclass(frozen=True)
class Weigh:
    """Weights and biases: covariance times ``scale`` plus ``shift``; trained or fixed."""

    scale: float
    shift: float
    trained: bool


@dataclass(frozen=True)
class Rectify:
    """A ReLU at the pairs (``first``, ``second``), each (P,); ``name`` finds the variances.

    ``diagonal`` (positions,) says where the pairs (p, p) are in the list; it is there
    only in plans that are built to give the variances.
    """

    name: tuple[int, ...]
    first: Tensor
    second: Tensor
    diagonal: Tensor | None


@dataclass(frozen=True)
class Add:
    """The sum of two paths from the same pairs."""

    branch: tuple[Operation, ...]
    shortcut: tuple[Operation, ...]


Operation = Mix | Pick | Weigh | Rectify | Add


@dataclass(frozen=True)
class Plan:
    """Operations from the pairs of the images to the one pair of the output.

    Attributes:
        operations: In the order of the layers.
        first: Positions in the first image, (P,) int64.
        second: Positions in the second image, (P,) int64.
        values: The most numbers held at once for one pair of images and one kernel.
        rectified: Number of arc-cosine evaluations for one pair of images.
    """

    operations: tuple[Operation, ...]
    first: Tensor
    second: Tensor
    values: int
    rectified: int


def plan_pairs(layers: Sequence[Layer], image: Shape, *, variances: bool = False) -> Plan:
    """Work out what one entry of the kernel needs.

    Args:
        layers: The network; its output must be a single position.
        image: Shape of the images.
        variances: Also keep every equal pair (p, p) at every ReLU; for the covariances
            of an image with itself.
    """
    operations, codes = _plan(
        tuple(layers), image, torch.zeros(1, dtype=torch.int64), variances, ()
    )
    first, second = codes // image.positions, codes % image.positions
    return Plan(operations, first, second, _values(operations, len(codes)), _count(operations))


def _plan(
    layers: tuple[Layer, ...],
    image: Shape,
    wanted: Tensor,
    variances: bool,
    path: tuple[int, ...],
) -> tuple[tuple[Operation, ...], Tensor]:
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
                done = (Weigh(layer.weight_variance, layer.bias_variance, layer.trained),)
            case _:
                done, wanted = _plan_windows(layer, wanted, after, before)
        operations[:0] = done
    return tuple(operations), wanted


def _plan_relu(
    wanted: Tensor, shape: Shape, variances: bool, name: tuple[int, ...]
) -> tuple[tuple[Operation, ...], Tensor]:
    if not variances:
        p, q = wanted // shape.positions, wanted % shape.positions
        return (Rectify(name, p, q, None),), wanted
    equal = torch.arange(shape.positions) * (shape.positions + 1)
    codes = torch.unique(torch.cat([wanted, equal]))
    p, q = codes // shape.positions, codes % shape.positions
    relu = Rectify(name, p, q, torch.searchsorted(codes, equal))
    return (relu, Pick(torch.searchsorted(codes, wanted))), codes


def _plan_sum(
    layer: Residual, wanted: Tensor, shape: Shape, variances: bool, name: tuple[int, ...]
) -> tuple[tuple[Operation, ...], Tensor]:
    branch, first = _plan(layer.branch, shape, wanted, variances, (*name, 0))
    shortcut, second = _plan(layer.shortcut, shape, wanted, variances, (*name, 1))
    codes = torch.unique(torch.cat([first, second]))
    start = Pick(torch.searchsorted(codes, first)), Pick(torch.searchsorted(codes, second))
    return (Add((start[0], *branch), (start[1], *shortcut)),), codes


def _plan_windows(
    layer: Layer, wanted: Tensor, after: Shape, before: Shape
) -> tuple[tuple[Operation, ...], Tensor]:
    if isinstance(layer, Flatten):
        matrix, codes = mix_flatten(wanted, before)
        return (Mix(matrix),), codes
    assert not isinstance(layer, Relu | Dense | Residual)
    between = Shape(before.height, after.width)
    rows, codes = mix_rows(layer, wanted, after, between)
    columns, codes = mix_columns(layer, codes, between, before)
    mixes = (Mix(columns), Mix(rows))
    if not isinstance(layer, Convolution):
        return mixes, codes
    return (*mixes, Weigh(layer.weight_variance, layer.bias_variance, layer.trained)), codes


def _values(operations: tuple[Operation, ...], entering: int) -> int:
    most = size = entering
    for operation in operations:
        before = size
        match operation:
            case Mix():
                size = operation.matrix.shape[0]
            case Pick():
                size = len(operation.index)
            case Add():
                inner = _values(operation.branch, size) + _values(operation.shortcut, size)
                most = max(most, size + inner)
                size = _size(operation.branch, size)
            case _:
                pass
        most = max(most, before + size)
    return most


def _size(operations: tuple[Operation, ...], size: int) -> int:
    for operation in operations:
        match operation:
            case Mix():
                size = operation.matrix.shape[0]
            case Pick():
                size = len(operation.index)
            case Add():
                size = _size(operation.branch, size)
            case _:
                pass
    return size


def _count(operations: tuple[Operation, ...]) -> int:
    total = 0
    for operation in operations:
        if isinstance(operation, Rectify):
            total += len(operation.first)
        elif isinstance(operation, Add):
            total += _count(operation.branch) + _count(operation.shortcut)
    return total
