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

from hybridonn.tangent.infinite.arccosine import rectify
from hybridonn.tangent.infinite.geometry import Shape
from hybridonn.tangent.infinite.layers import Layer
from hybridonn.tangent.infinite.pairs import Add, Mix, Operation, Pick, Plan, Rectify, plan_pairs

# Numbers rectified at once: small enough for the second-level cache of a CPU core
# (five arrays of 2^14 float64), large enough to fill a GPU.
CPU_CHUNK, CUDA_CHUNK = 2**14, 2**24

Deviations = Callable[[Rectify, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Network:
    """What the kernel of one network needs, placed on a device.

    Attributes:
        pairs: For two different images.
        self_pairs: For an image with itself: gives the variances at every ReLU.
        tangent: Whether the tangent kernel is wanted beside the covariance.
    """

    pairs: Plan
    self_pairs: Plan
    tangent: bool


@dataclass(frozen=True)
class Kernels:
    """Covariance (NNGP) and tangent kernel (NTK; None: nothing is trained or asked for)."""

    covariance: Tensor
    tangent: Tensor | None


def prepare(
    layers: Sequence[Layer],
    image: Shape,
    *,
    tangent: bool,
    device: torch.device,
    dtype: torch.dtype,
) -> Network:
    """Plan the pairs of a network once, for any number of images of one shape."""
    pairs = _place(plan_pairs(layers, image), device, dtype)
    self_pairs = _place(plan_pairs(layers, image, variances=True), device, dtype)
    return Network(pairs, self_pairs, tangent)


def deviations(network: Network, images: Tensor) -> Mapping[tuple[int, ...], Tensor]:
    """Standard deviations of the pre-activations at every ReLU, (positions, N) by name.

    Args:
        network: The prepared network.
        images: Images, (N, C, H, W).
    """
    return variances_of(network, own_covariance(network.self_pairs, images))


def variances_of(network: Network, entering: Tensor) -> Mapping[tuple[int, ...], Tensor]:
    """The same from the covariances (P, N) that enter the network."""
    found: dict[tuple[int, ...], Tensor] = {}

    def remember(relu: Rectify, covariance: Tensor) -> tuple[Tensor, Tensor]:
        assert relu.diagonal is not None
        deviation = covariance[relu.diagonal].clamp_min_(0).sqrt_()
        found[relu.name] = deviation
        return deviation[relu.first], deviation[relu.second]

    propagate(network.self_pairs.operations, Kernels(entering, None), remember, tangent=False)
    return found


def between(
    network: Network,
    entering: Kernels,
    first: Mapping[tuple[int, ...], Tensor],
    second: Mapping[tuple[int, ...], Tensor],
) -> Kernels:
    """Kernels (N1, N2) of a network's output from those that enter it.

    Args:
        network: The prepared network.
        entering: Covariance and tangent kernel (P, N1, N2) of the needed pairs; overwritten.
        first: Deviations of the first images.
        second: Deviations of the second images.
    """

    def look_up(relu: Rectify, _: Tensor) -> tuple[Tensor, Tensor]:
        rows, columns = first[relu.name], second[relu.name]
        return rows[relu.first][:, :, None], columns[relu.second][:, None, :]

    out = propagate(network.pairs.operations, entering, look_up, tangent=network.tangent)
    return Kernels(out.covariance[0], None if out.tangent is None else out.tangent[0])


def cross_covariance(plan: Plan, first: Tensor, second: Tensor) -> Tensor:
    """Covariances of the pixels, <x_p, x'_q> / C, as (P, N1, N2).

    Args:
        plan: Which pairs.
        first: Images (N1, C, H, W).
        second: Images (N2, C, H, W).
    """
    channels = first.shape[1]
    left = first.flatten(2).permute(2, 0, 1)[plan.first] / channels
    right = second.flatten(2).permute(2, 1, 0)[plan.second]
    return torch.bmm(left, right)


def own_covariance(plan: Plan, images: Tensor) -> Tensor:
    """Covariances of every image's pixels with its own, (P, N); images (N, C, H, W)."""
    pixels = images.flatten(2).permute(2, 0, 1)
    return (pixels[plan.first] * pixels[plan.second]).mean(-1)


def propagate(
    operations: Sequence[Operation], kernels: Kernels, look_up: Deviations, *, tangent: bool
) -> Kernels:
    """Carry covariance and tangent kernel, (P, ...), through the operations; overwrites them."""
    covariance, theta = kernels.covariance, kernels.tangent
    for operation in operations:
        match operation:
            case Mix():
                covariance = _mix(operation, covariance)
                theta = None if theta is None else _mix(operation, theta)
            case Pick():
                covariance = covariance[operation.index]
                theta = None if theta is None else theta[operation.index]
            case Rectify():
                _rectify_inplace(covariance, theta, *look_up(operation, covariance))
            case Add():
                covariance, theta = _add(operation, Kernels(covariance, theta), look_up, tangent)
            case _:
                covariance.mul_(operation.scale).add_(operation.shift)
                theta = None if theta is None else theta.mul_(operation.scale)
                if operation.trained and tangent:
                    theta = covariance.clone() if theta is None else theta.add_(covariance)
    return Kernels(covariance, theta)


def _mix(operation: Mix, values: Tensor) -> Tensor:
    mixed = operation.matrix @ values.flatten(1)
    return mixed.view(-1, *values.shape[1:])


def _rectify_inplace(
    covariance: Tensor, theta: Tensor | None, first: Tensor, second: Tensor
) -> None:
    chunk = CUDA_CHUNK if covariance.is_cuda else CPU_CHUNK
    rows = max(1, chunk // max(1, covariance[0].numel()))
    for start in range(0, len(covariance), rows):
        part = slice(start, start + rows)
        rectified, derivative = rectify(covariance[part], first[part], second[part])
        covariance[part] = rectified
        if theta is not None:
            theta[part] *= derivative


def _add(
    operation: Add, kernels: Kernels, look_up: Deviations, tangent: bool
) -> tuple[Tensor, Tensor | None]:
    one = propagate(operation.branch, kernels, look_up, tangent=tangent)
    two = propagate(operation.shortcut, kernels, look_up, tangent=tangent)
    covariance = one.covariance.add_(two.covariance)
    if one.tangent is None or two.tangent is None:
        return covariance, one.tangent if two.tangent is None else two.tangent
    return covariance, one.tangent.add_(two.tangent)


def _place(plan: Plan, device: torch.device, dtype: torch.dtype) -> Plan:
    moved = tuple(_move(operation, device, dtype) for operation in plan.operations)
    return replace(
        plan, operations=moved, first=plan.first.to(device), second=plan.second.to(device)
    )


def _move(operation: Operation, device: torch.device, dtype: torch.dtype) -> Operation:
    match operation:
        case Mix():
            return Mix(operation.matrix.to(device=device, dtype=dtype))
        case Pick():
            return Pick(operation.index.to(device))
        case Rectify():
            diagonal = None if operation.diagonal is None else operation.diagonal.to(device)
            return Rectify(
                operation.name, operation.first.to(device), operation.second.to(device), diagonal
            )
        case Add():
            branch = tuple(_move(one, device, dtype) for one in operation.branch)
            return Add(branch, tuple(_move(one, device, dtype) for one in operation.shortcut))
        case _:
            return operation
