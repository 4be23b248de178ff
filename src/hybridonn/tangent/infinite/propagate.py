"""Covariances and tangent kernels, carried through the layers for the needed pairs.

Arora et al. 2019 (arXiv 1904.11955), section 4.1, with the layers of
:mod:`hybridonn.tangent.infinite.pairs`: K is the covariance of the activations (the
NNGP kernel of the layers so far), T their tangent kernel (the NTK).

    convolution, dense:  K <- s K + b,   T <- s T + (K if trained)
    ReLU:                K <- E[relu relu],   T <- T * E[relu' relu']
    pooling, flatten:    K <- M K,   T <- M T
    sum of two paths:    K <- K_1 + K_2,   T <- T_1 + T_2
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hybridonn.tangent.errors import TangentError
from hybridonn.tangent.infinite.arccosine import rectify
from hybridonn.tangent.infinite.geometry import Shape
from hybridonn.tangent.infinite.layers import Layer
from hybridonn.tangent.infinite.pairs import (
    Operation,
    PairPlan,
    PathSum,
    Rectification,
    Selection,
    WeightedSums,
    plan_pairs,
)

# Numbers rectified at once: small enough for the second-level cache of a CPU core
# (five arrays of 2^14 float64), large enough to fill a GPU.
CPU_CHUNK, CUDA_CHUNK = 2**14, 2**24

# Standard deviations (positions, N) of the pre-activations, by the name of the ReLU behind them.
Deviations = Mapping[tuple[int, ...], Tensor]
DeviationLookup = Callable[[Rectification, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class PreparedNetwork:
    """The operations on pairs of positions that one network needs, placed on a device.

    Attributes:
        pairs: operations for two different images.
        self_pairs: operations for an image with itself, which give the variances at every ReLU.
        tangent: whether the tangent kernel is wanted beside the covariance.
    """

    pairs: PairPlan
    self_pairs: PairPlan
    tangent: bool


@dataclass(frozen=True)
class Kernels:
    """Covariance (NNGP) and tangent kernel (NTK; None: nothing is trained or asked for)."""

    covariance: Tensor
    tangent: Tensor | None

    def wanted(self, *, tangent: bool) -> Tensor:
        """The tangent kernel, or the covariance.

        Raises:
            TangentError: the tangent kernel is wanted and no layer is trained.
        """
        found = self.tangent if tangent else self.covariance
        if found is None:
            raise TangentError('no layer is trained, so the NTK is 0; ask for kernel="nngp"')
        return found


def prepare(
    layers: Sequence[Layer],
    image: Shape,
    *,
    tangent: bool,
    device: torch.device,
    dtype: torch.dtype,
) -> PreparedNetwork:
    """Plan the pairs of a network once, for any number of images of one shape."""
    pairs = _place(plan_pairs(layers, image), device, dtype)
    self_pairs = _place(plan_pairs(layers, image, variances=True), device, dtype)
    return PreparedNetwork(pairs, self_pairs, tangent)


def deviations_of_images(network: PreparedNetwork, images: Tensor) -> Deviations:
    """Standard deviations of the pre-activations at every ReLU.

    Args:
        network: the prepared network.
        images: images (N, C, H, W).

    Returns:
        Standard deviations (positions, N) by the name of the ReLU.
    """
    return deviations_of(network, own_covariance(network.self_pairs, images))


def deviations_of(network: PreparedNetwork, entering: Tensor) -> Deviations:
    """Standard deviations of the pre-activations at every ReLU, from the covariances before them.

    Args:
        network: the prepared network.
        entering: covariances (P, N) of each image with itself at the pairs that enter the network.

    Returns:
        Standard deviations (positions, N) by the name of the ReLU.
    """
    found: dict[tuple[int, ...], Tensor] = {}

    def remember(relu: Rectification, covariance: Tensor) -> tuple[Tensor, Tensor]:
        deviation = covariance[relu.diagonal].clamp_min_(0).sqrt_()
        found[relu.name] = deviation
        return deviation[relu.first], deviation[relu.second]

    propagate(network.self_pairs.operations, Kernels(entering, None), remember, tangent=False)
    return found


def between(
    network: PreparedNetwork,
    entering: Kernels,
    first: Deviations,
    second: Deviations,
) -> Kernels:
    """Kernels (N1, N2) of a network's output from those that enter it.

    Args:
        network: the prepared network.
        entering: covariance and tangent kernel (P, N1, N2) of the needed pairs; overwritten.
        first: standard deviations (positions, N1) of the first images at every ReLU.
        second: standard deviations (positions, N2) of the second images at every ReLU.

    Returns:
        Covariance and tangent kernel (N1, N2).
    """

    def look_up(relu: Rectification, _: Tensor) -> tuple[Tensor, Tensor]:
        rows, columns = first[relu.name], second[relu.name]
        return rows[relu.first][:, :, None], columns[relu.second][:, None, :]

    out = propagate(network.pairs.operations, entering, look_up, tangent=network.tangent)
    return Kernels(out.covariance[0], None if out.tangent is None else out.tangent[0])


def cross_covariance(plan: PairPlan, first: Tensor, second: Tensor) -> Tensor:
    """Covariances of the pixels, ``<x_p, x'_q> / C``.

    Args:
        plan: the pairs of positions p, q that are needed.
        first: images (N1, C, H, W).
        second: images (N2, C, H, W).

    Returns:
        Covariances (P, N1, N2).
    """
    channels = first.shape[1]
    left = first.flatten(2).permute(2, 0, 1)[plan.first] / channels
    right = second.flatten(2).permute(2, 1, 0)[plan.second]
    return torch.bmm(left, right)


def own_covariance(plan: PairPlan, images: Tensor) -> Tensor:
    """Covariances of every image's pixels with its own, (P, N); images (N, C, H, W)."""
    pixels = images.flatten(2).permute(2, 0, 1)
    return (pixels[plan.first] * pixels[plan.second]).mean(-1)


def propagate(
    operations: Sequence[Operation], kernels: Kernels, look_up: DeviationLookup, *, tangent: bool
) -> Kernels:
    """Carry covariance and tangent kernel, (P, ...), through the operations; overwrites them."""
    covariance, theta = kernels.covariance, kernels.tangent
    for operation in operations:
        match operation:
            case WeightedSums():
                covariance = _sum_pairs(operation, covariance)
                theta = None if theta is None else _sum_pairs(operation, theta)
            case Selection():
                covariance = covariance[operation.index]
                theta = None if theta is None else theta[operation.index]
            case Rectification():
                _rectify_inplace(covariance, theta, *look_up(operation, covariance))
            case PathSum():
                covariance, theta = _add(operation, Kernels(covariance, theta), look_up, tangent)
            case _:
                covariance.mul_(operation.scale).add_(operation.shift)
                theta = None if theta is None else theta.mul_(operation.scale)
                if operation.trained and tangent:
                    theta = covariance.clone() if theta is None else theta.add_(covariance)
    return Kernels(covariance, theta)


def _sum_pairs(operation: WeightedSums, values: Tensor) -> Tensor:
    """The weighted sums of values (P, ...)."""
    mixed = operation.matrix @ values.flatten(1)
    return mixed.view(-1, *values.shape[1:])


def _rectify_inplace(
    covariance: Tensor, theta: Tensor | None, first: Tensor, second: Tensor
) -> None:
    """Carry covariance and tangent kernel through a ReLU, some pairs at a time, in place."""
    chunk = CUDA_CHUNK if covariance.is_cuda else CPU_CHUNK
    rows = max(1, chunk // max(1, covariance[0].numel()))
    for start in range(0, len(covariance), rows):
        part = slice(start, start + rows)
        rectified, derivative = rectify(covariance[part], first[part], second[part])
        covariance[part] = rectified
        if theta is not None:
            theta[part] *= derivative


def _add(
    operation: PathSum, kernels: Kernels, look_up: DeviationLookup, tangent: bool
) -> tuple[Tensor, Tensor | None]:
    """Carry covariance and tangent kernel through both paths, and add them."""
    one = propagate(operation.branch, kernels, look_up, tangent=tangent)
    two = propagate(operation.shortcut, kernels, look_up, tangent=tangent)
    covariance = one.covariance.add_(two.covariance)
    if one.tangent is None or two.tangent is None:
        return covariance, one.tangent if two.tangent is None else two.tangent
    return covariance, one.tangent.add_(two.tangent)


def _place(plan: PairPlan, device: torch.device, dtype: torch.dtype) -> PairPlan:
    """The plan with its tensors on a device."""
    moved = tuple(_move(operation, device, dtype) for operation in plan.operations)
    return replace(
        plan, operations=moved, first=plan.first.to(device), second=plan.second.to(device)
    )


def _move(operation: Operation, device: torch.device, dtype: torch.dtype) -> Operation:
    """An operation with its tensors on a device."""
    match operation:
        case WeightedSums():
            return WeightedSums(operation.matrix.to(device=device, dtype=dtype))
        case Selection():
            return Selection(operation.index.to(device))
        case Rectification():
            first, second, diagonal = operation.first, operation.second, operation.diagonal
            return Rectification(
                operation.name, first.to(device), second.to(device), diagonal.to(device)
            )
        case PathSum():
            branch = tuple(_move(one, device, dtype) for one in operation.branch)
            return PathSum(branch, tuple(_move(one, device, dtype) for one in operation.shortcut))
        case _:
            return operation
