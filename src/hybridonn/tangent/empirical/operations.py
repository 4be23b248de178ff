"""Vector-Jacobian products of operations of autograd's graph, of all outputs at once.

torch differentiates one combination of outputs at a time, and its batched pass loops over
convolutions and poolings. Here the combinations lie beside the samples as one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.graph import Node

from hybridonn.tangent.empirical.compiled import (
    ConvolutionGeometry,
    Maxima,
    Windows,
    inputs_behind_pooling,
    is_available,
)
from hybridonn.tangent.empirical.gated_cotangent import GatedCotangent
from hybridonn.tangent.empirical.graph import argument_shape
from hybridonn.tangent.empirical.pooling import AveragePooling, MaximumPooling, read_pooling
from hybridonn.tangent.empirical.torch_internals import (
    RESHAPES,
    result_shape,
    saved,
    saved_sizes,
    signed,
)

# The cotangents of an operation's arguments by their positions; None: unknown with these settings.
Cotangents = Mapping[int, GatedCotangent] | None
VectorJacobianProduct = Callable[[Node, GatedCotangent], Cotangents]


def vector_jacobian_product(node: Node) -> VectorJacobianProduct | None:
    """Maps the cotangent of an operation's result to those of its arguments; None if unknown."""
    name = node.name()
    return _PRODUCTS.get(name) or (_reshape if name.startswith(RESHAPES) else None)


def _reshape(node: Node, here: GatedCotangent) -> Cotangents:
    """The same numbers in another shape; the samples still lead."""
    shape, here = argument_shape(node, 0), here.at_all_positions()
    if not shape or shape[:1] != result_shape(node)[:1]:
        return None
    gate = None if here.gate is None else here.gate.reshape(shape)
    return {0: GatedCotangent(here.values.reshape(*here.values.shape[:2], *shape[1:]), gate)}


def _dense(node: Node, here: GatedCotangent) -> Cotangents:
    """``y = x A + b`` of rows x: ``g A^T``."""
    add = node.name().startswith("Addmm")
    if add and saved(node, "alpha") != 1:
        return None
    return {int(add): GatedCotangent(here.product() @ saved(node, "mat2").mT)}


def _relu(node: Node, here: GatedCotangent) -> Cotangents:
    """The cotangent where the result is positive, else zero."""
    result = saved(node, "result")
    if isinstance(here.pooling, MaximumPooling):
        index = here.pooling.index
        result = result.flatten(2).gather(2, index).view(-1, *here.values.shape[2:])
    gate = (result.detach() > 0).to(here.values.dtype)
    return {0: replace(here, gate=gate if here.gate is None else gate * here.gate)}


def _addition(node: Node, here: GatedCotangent) -> Cotangents:
    """The same cotangent for each summand of the sum's own shape: a shift, or two branches."""
    factors = 1, saved(node, "alpha")
    same = [argument_shape(node, position) == result_shape(node) for position in range(2)]
    return {i: here for i in range(2) if same[i] and factors[i] == 1}


def _batch_norm(node: Node, here: GatedCotangent) -> Cotangents:
    """Inference statistics: a factor for each channel."""
    if saved(node, "training"):
        return None
    scale = (saved(node, "running_var") + saved(node, "eps")).rsqrt()
    weight = saved(node, "weight")
    scale = scale if weight is None else scale * weight
    channels = scale.view(-1, *[1] * (here.values.ndim - 3))
    return {0: replace(here, values=here.values * channels)}


def _convolution(node: Node, here: GatedCotangent) -> Cotangents:
    """The transposed convolution, samples and combinations as one batch."""
    shape, weight = argument_shape(node, 0), saved(node, "weight")
    if len(shape) != weight.ndim:  # one image without a samples' axis
        return None
    if here.pooling is not None and _is_compiled(node, here, here.pooling):
        return {0: GatedCotangent(_from_pooling(node, here, here.pooling))}
    value = here.product()
    result = _transpose_convolution(node, value.flatten(0, 1), weight, shape)
    return {0: GatedCotangent(result.unflatten(0, value.shape[:2]))}


def _transpose_convolution(node: Node, batch: Tensor, weight: Tensor, shape: torch.Size) -> Tensor:
    """A convolution's transpose of a batch of cotangents of its output.

    A convolution without strides and groups has a convolution by the flipped kernel as its
    transpose, which torch computes faster.
    """
    stride, padding, dilation = _steps(node, weight)
    groups = saved(node, "groups")
    convolve, transpose = _CONVOLUTIONS[weight.ndim - 3]
    if saved(node, "transposed"):
        return convolve(batch, weight, None, stride, padding, dilation, groups)
    sizes = list(zip(stride, padding, dilation, weight.shape[2:], strict=True))
    margin = [d * (k - 1) - p for _, p, d, k in sizes]
    if all(s == 1 for s in stride) and groups == 1 and min(margin) >= 0:
        flipped = weight.transpose(0, 1).flip(*range(2, weight.ndim))
        return convolve(batch, flipped, None, stride, margin, dilation)
    least = [
        (out - 1) * s - 2 * p + d * (k - 1) + 1
        for out, (s, p, d, k) in zip(batch.shape[2:], sizes, strict=True)
    ]
    rest = [size - low for size, low in zip(shape[2:], least, strict=True)]
    return transpose(batch, weight, None, stride, padding, rest, groups, dilation)


def _steps(node: Node, weight: Tensor) -> tuple[tuple[int, ...], ...]:
    """Stride, padding and dilation of a convolution, each with a number for each axis."""
    stride, padding, dilation = (
        saved_sizes(node, name, weight.ndim - 2) for name in ("stride", "padding", "dilation")
    )
    return stride, padding, dilation


def _is_compiled(
    node: Node, here: GatedCotangent, pooling: MaximumPooling | AveragePooling
) -> bool:
    """Whether compiled code passes cotangents back from a convolution that is pooled."""
    if torch.is_grad_enabled() or saved(node, "transposed") or saved(node, "groups") > 1:
        return False
    if isinstance(pooling, AveragePooling) and not pooling.tiles:
        return False
    weight = saved(node, "weight")
    return weight.ndim == 4 and weight.dtype == here.values.dtype and is_available(weight)


def _from_pooling(
    node: Node, here: GatedCotangent, pooling: MaximumPooling | AveragePooling
) -> Tensor:
    """A convolution's transpose, from the places that its output is pooled to."""
    weight, values, shape = saved(node, "weight"), here.values.flatten(3), result_shape(node)
    stride, padding, dilation = _steps(node, weight)
    geometry = ConvolutionGeometry(tuple(weight.shape[2:]), stride, dilation, padding)
    if isinstance(pooling, MaximumPooling):
        places, gates = Maxima(pooling.index, shape, geometry), pooling.index.shape
    else:
        gates = *shape[:2], shape[2:].numel()
        places = Windows(*pooling.windows, shape, geometry)
    gate = values.new_ones(1).expand(gates) if here.gate is None else here.gate
    values = values.expand(shape[0], *values.shape[1:])
    return inputs_behind_pooling(weight, gate.flatten(2), places, values, argument_shape(node, 0))


def _pooling(node: Node, here: GatedCotangent) -> Cotangents:
    """A maximum's cotangent at its position; an average's at all positions of its window."""
    match read_pooling(node):
        case MaximumPooling() as pooling:
            return {0: replace(here.at_all_positions(), pooling=pooling)}
        case AveragePooling() as pooling:
            return {0: GatedCotangent(here.product(), pooling=pooling)}
    return None


def _mean(node: Node, here: GatedCotangent) -> Cotangents:
    """The same share at every position; an adaptive pooling to one position is such a mean."""
    shape = argument_shape(node, 0)
    axes = [axis % len(shape) for axis in signed(saved(node, "dim"))]
    if 0 in axes or not axes:
        return None
    value = here.product() / prod(shape[axis] for axis in axes)
    if not saved(node, "keepdim"):
        for axis in sorted(axes):
            value = value.unsqueeze(axis + 1)
    return {0: GatedCotangent(value.expand(*value.shape[:2], *shape[1:]))}


_CONVOLUTIONS = (
    (F.conv1d, F.conv_transpose1d),
    (F.conv2d, F.conv_transpose2d),
    (F.conv3d, F.conv_transpose3d),
)

_PRODUCTS: dict[str, VectorJacobianProduct] = {
    "AddmmBackward0": _dense,
    "MmBackward0": _dense,
    "ReluBackward0": _relu,
    "AddBackward0": _addition,
    "NativeBatchNormBackward0": _batch_norm,
    "ConvolutionBackward0": _convolution,
    "MaxPool2DWithIndicesBackward0": _pooling,
    "AdaptiveMaxPool2DBackward0": _pooling,
    "AvgPool2DBackward0": _pooling,
    "AdaptiveAvgPool2DBackward0": _pooling,
    "MeanBackward1": _mean,
}
