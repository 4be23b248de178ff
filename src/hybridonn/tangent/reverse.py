"""The reverse pass of all outputs at once, through operations whose derivative is known.

torch differentiates one combination of outputs at a time, and its batched pass loops over
convolutions and poolings. Here the combinations lie beside the samples as one batch. What
depends on the samples alone (where a ReLU is open, which position was the maximum) is kept
apart from what depends on the combinations alone until an operation mixes positions: behind a
dense layer, the output gradients are the same for all samples up to those gates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge

from hybridonn.tangent.compiled import Maxima, Window, inputs_from_maxima, is_available
from hybridonn.tangent.nodes import saved, shape_of

# Operations that keep every number and their row-major order.
RESHAPES = (
    "ViewBackward",
    "UnsafeViewBackward",
    "ReshapeAliasBackward",
    "SqueezeBackward",
    "UnsqueezeBackward",
    "AliasBackward",
    "CloneBackward",
)


@dataclass(frozen=True)
class Pooled:
    """What a maximum pooling took.

    Attributes:
        index: the position of each maximum, (n, O, P).
        shape: the shape of what was pooled, (H, W).
        tile: the size of the windows if they lie side by side, else None.
    """

    index: Tensor
    shape: torch.Size
    tile: Sequence[int] | None


@dataclass(frozen=True)
class Sensitivity:
    """How combinations of the outputs move with a place of the graph: values times gate.

    Attributes:
        values: (n, C, ...), or (1, C, ...) where all samples share them.
        gate: zeros and ones (n, ...); None: ones.
        pooled: where values and gate (.., O, P, Q) belong to the maxima of a pooling, these.
    """

    values: Tensor
    gate: Tensor | None = None
    pooled: Pooled | None = None

    def product(self) -> Tensor:
        """The numbers themselves, (n or 1, C, ...)."""
        if self.pooled is not None:
            return _spread(self, self.pooled).product()
        return self.values if self.gate is None else self.values * self.gate.unsqueeze(1)

    def whole(self) -> Sensitivity:
        """The same for every position."""
        return self if self.pooled is None else _spread(self, self.pooled)


Found = Mapping[int, Sensitivity] | None
Rule = Callable[[Node, Sensitivity], Found]


def known_gradients(
    outputs: Tensor, targets: Sequence[GradientEdge], seeds: Tensor
) -> list[Tensor | None] | None:
    """Gradients of combinations of the outputs, of all samples and combinations at once.

    Args:
        outputs: the network's outputs (n, ...), samples independent.
        targets: places in the graph whose gradients are wanted.
        seeds: combinations (C, ...) of the outputs.

    Returns:
        For each target its gradients (n, C, ...), or None where no output depends on it; None
        altogether where an operation on the way is not known here.
    """
    places = {edge.node for edge in targets}
    root = get_gradient_edge(outputs)
    route = _route(root.node, places)
    if route is None or any(edge.output_nr for edge in (root, *targets)):
        return None
    arrived = {root.node: Sensitivity(seeds[None])}
    found: dict[Node, Tensor] = {}
    for node, wanted in route:
        here = arrived.pop(node)
        if node in places:
            value = here.product()
            found[node] = value.expand(len(outputs), *value.shape[1:])
            here = Sensitivity(value)
        passed = _passed(node, here, wanted)
        if passed is None:
            return None
        for position, sensitivity in passed.items():
            parent, result = node.next_functions[position]
            if parent is None or result:
                return None
            arrived[parent] = _sum(arrived.get(parent), sensitivity)
    return [found.get(edge.node) for edge in targets]


def is_known(outputs: Tensor, targets: Sequence[GradientEdge]) -> bool:
    """Whether every operation between the outputs and some places is known by name."""
    return _route(get_gradient_edge(outputs).node, {edge.node for edge in targets}) is not None


def _route(root: Node, targets: set[Node]) -> list[tuple[Node, list[int]]] | None:
    """The operations between the outputs and the targets, each before those it depends on.

    Each comes with the positions of its arguments that lead to a target. None: one of them is
    not known.
    """
    leads: dict[Node, list[int]] = {}
    order: list[Node] = []
    stack: list[tuple[Node, bool]] = [(root, False)]
    while stack:
        node, left = stack.pop()
        parents = node.next_functions
        if left:
            leads[node] = [
                i for i, (p, _) in enumerate(parents) if p and (leads.get(p) or p in targets)
            ]
            order.append(node)
        elif node not in leads:
            leads[node] = []
            stack.append((node, True))
            stack += [(p, False) for p, _ in parents if p is not None and p not in leads]
    route = [(node, leads[node]) for node in reversed(order) if leads[node] or node in targets]
    if any(wanted and _rule(node) is None for node, wanted in route):
        return None
    return route


def _passed(node: Node, here: Sensitivity, wanted: list[int]) -> Found:
    """What an operation passes on to the arguments that lead on; None where it is not known."""
    rule = _rule(node) if wanted else None
    passed = rule(node, here) if rule else {}
    if passed is None or not set(wanted) <= set(passed):
        return None
    return {position: passed[position] for position in wanted}


def _sum(a: Sensitivity | None, b: Sensitivity) -> Sensitivity:
    """The sum of what comes by two ways."""
    return b if a is None else Sensitivity(a.product() + b.product())


def _reshape(node: Node, here: Sensitivity) -> Found:
    """The same numbers in another shape; the samples still lead."""
    shape, here = _argument(node, 0), here.whole()
    if not shape or shape[:1] != shape_of(node)[:1]:
        return None
    gate = None if here.gate is None else here.gate.reshape(shape)
    return {0: Sensitivity(here.values.reshape(*here.values.shape[:2], *shape[1:]), gate)}


def _dense(node: Node, here: Sensitivity) -> Found:
    """``y = x A + b`` of rows x: ``g A^T``."""
    add = node.name().startswith("Addmm")
    if add and saved(node, "alpha") != 1:
        return None
    return {int(add): Sensitivity(here.product() @ saved(node, "mat2").mT)}


def _relu(node: Node, here: Sensitivity) -> Found:
    """Open where the result is positive."""
    result = saved(node, "result")
    if here.pooled is not None:
        index = here.pooled.index
        result = result.flatten(2).gather(2, index).view(-1, *here.values.shape[2:])
    gate = (result.detach() > 0).to(here.values.dtype)
    return {0: replace(here, gate=gate if here.gate is None else gate * here.gate)}


def _addition(node: Node, here: Sensitivity) -> Found:
    """A shift, or two branches that meet."""
    factors = 1, saved(node, "alpha")
    same = [_argument(node, position) == shape_of(node) for position in range(2)]
    return {i: here for i in range(2) if same[i] and factors[i] == 1}


def _batch_norm(node: Node, here: Sensitivity) -> Found:
    """Inference statistics: a number a channel."""
    if saved(node, "training"):
        return None
    scale = (saved(node, "running_var") + saved(node, "eps")).rsqrt()
    weight = saved(node, "weight")
    scale = scale if weight is None else scale * weight
    channels = scale.view(-1, *[1] * (here.values.ndim - 3))
    return {0: replace(here, values=here.values * channels)}


def _convolution(node: Node, here: Sensitivity) -> Found:
    """The transposed convolution, samples and combinations as one batch."""
    shape, weight = _argument(node, 0), saved(node, "weight")
    stride, padding, dilation, groups = (
        saved(node, name) for name in ("stride", "padding", "dilation", "groups")
    )
    axes = weight.ndim - 2
    if len(shape) != weight.ndim:  # a picture without samples
        return None
    if here.pooled is not None and _compiled(node, here):
        return {0: Sensitivity(_from_maxima(node, here, here.pooled))}
    forward, backward = _CONVOLUTIONS[axes - 1]
    value = here.product()
    batch = value.flatten(0, 1)
    sizes = list(zip(stride, padding, dilation, weight.shape[2:], strict=True))
    margin = [d * (k - 1) - p for _, p, d, k in sizes]
    if saved(node, "transposed"):
        result = forward(batch, weight, None, stride, padding, dilation, groups)
    elif all(s == 1 for s in stride) and groups == 1 and min(margin) >= 0:
        turned = weight.transpose(0, 1).flip(*range(2, 2 + axes))
        result = forward(batch, turned, None, stride, margin, dilation)
    else:
        least = [
            (out - 1) * s - 2 * p + d * (k - 1) + 1
            for out, (s, p, d, k) in zip(batch.shape[2:], sizes, strict=True)
        ]
        rest = [size - low for size, low in zip(shape[2:], least, strict=True)]
        result = backward(batch, weight, None, stride, padding, rest, groups, dilation)
    return {0: Sensitivity(result.unflatten(0, value.shape[:2]))}


def _compiled(node: Node, here: Sensitivity) -> bool:
    """Whether compiled code passes gradients back from a convolution's maxima."""
    if torch.is_grad_enabled() or saved(node, "transposed") or saved(node, "groups") > 1:
        return False
    weight = saved(node, "weight")
    return weight.ndim == 4 and weight.dtype == here.values.dtype and is_available(weight)


def _from_maxima(node: Node, here: Sensitivity, pooled: Pooled) -> Tensor:
    """A convolution's transpose, from the maxima of its output."""
    weight, values = saved(node, "weight"), here.values.flatten(3)
    geometry = (tuple(saved(node, name)) for name in ("stride", "dilation", "padding"))
    where = Maxima(pooled.index, shape_of(node), Window(tuple(weight.shape[2:]), *geometry))
    gate = values.new_ones(1).expand(pooled.index.shape) if here.gate is None else here.gate
    values = values.expand(len(pooled.index), *values.shape[1:])
    return inputs_from_maxima(weight, gate.flatten(2), where, values, _argument(node, 0))


def _maximum(node: Node, here: Sensitivity) -> Found:
    """To the positions of the maxima, which lie apart where the windows tile the input."""
    shape, index = _argument(node, 0), saved(node, "result1")
    if len(shape) != 4:
        return None
    tile = _tile(node) if node.name().startswith("MaxPool") else None
    return {0: replace(here.whole(), pooled=Pooled(index.flatten(2), shape[2:], tile))}


def _average(node: Node, here: Sensitivity) -> Found:
    """Each axis's averages, transposed."""
    shape = _argument(node, 0)
    if len(shape) != 4 or saved(node, "divisor_override") is not None:
        return None
    size, padding = saved(node, "kernel_size"), saved(node, "padding")
    stride = saved(node, "stride") or size
    more = saved(node, "ceil_mode"), saved(node, "count_include_pad")
    height, width = (
        F.avg_pool1d(_unit(length, here), q, s, p, *more)
        for length, q, s, p in zip(shape[2:], size, stride, padding, strict=True)
    )
    return {0: _averages(here, height, width)}


def _adaptive_average(node: Node, here: Sensitivity) -> Found:
    """Each axis's averages, transposed."""
    if len(shape_of(node)) != 4:
        return None
    height, width = (
        F.adaptive_avg_pool1d(_unit(length, here), int(count))
        for length, count in zip(_argument(node, 0)[2:], shape_of(node)[2:], strict=True)
    )
    return {0: _averages(here, height, width)}


def _mean(node: Node, here: Sensitivity) -> Found:
    """The same share to every position; an adaptive pooling to one position is such a mean."""
    shape = _argument(node, 0)
    axes = [axis % len(shape) for axis in _signed(saved(node, "dim"))]
    if 0 in axes or not axes:
        return None
    value = here.product() / prod(shape[axis] for axis in axes)
    if not saved(node, "keepdim"):
        for axis in sorted(axes):
            value = value.unsqueeze(axis + 1)
    return {0: Sensitivity(value.expand(*value.shape[:2], *shape[1:]))}


def _signed(axes: Sequence[int]) -> list[int]:
    """Axes that autograd keeps without a sign."""
    return [axis - 2**64 if axis >= 2**63 else axis for axis in axes]


def _averages(here: Sensitivity, height: Tensor, width: Tensor) -> Sensitivity:
    """Pooled gradients (..., P, Q) to positions: ``A_h g A_w^T`` with (1, H, P) and (1, W, Q)."""
    wide = here.product() @ width[0].T
    return Sensitivity((wide.mT @ height[0].T).mT)


def _unit(length: int, here: Sensitivity) -> Tensor:
    """The unit vectors of an axis, (1, length, length)."""
    return torch.eye(length, dtype=here.values.dtype, device=here.values.device)[None]


def _tile(node: Node) -> list[int] | None:
    """The size of windows that lie side by side; None where they overlap or leave gaps."""
    size = saved(node, "kernel_size")
    stride = saved(node, "stride") or size
    plain = not any(saved(node, "padding")) and all(d == 1 for d in saved(node, "dilation"))
    return list(size) if plain and list(size) == list(stride) else None


def _spread(here: Sensitivity, pooled: Pooled) -> Sensitivity:
    """What belongs to maxima, at the positions where they lie."""
    index, size = pooled.index, pooled.tile
    plain = replace(here, pooled=None)
    if size is None:
        value = plain.product().expand(len(index), *here.values.shape[1:]).flatten(3)
        places = index[:, None].expand_as(value)
        empty = value.new_zeros(*value.shape[:3], pooled.shape.numel())
        return Sensitivity(empty.scatter_add(3, places, value).unflatten(3, pooled.shape))
    first = here.values.new_zeros(*index.shape[:2], pooled.shape.numel())
    first = first.scatter_(2, index, 1).unflatten(2, pooled.shape)
    gate = first if here.gate is None else first * _windows(here.gate, size, pooled.shape)
    return Sensitivity(_windows(here.values, size, pooled.shape), gate)


def _windows(pooled: Tensor, size: Sequence[int], shape: Sequence[int]) -> Tensor:
    """A pooled number to every position of its window (..., H, W); none beyond the windows."""
    P, Q = pooled.shape[-2:]
    found = pooled[..., :, None, :, None].expand(*pooled.shape[:-2], P, size[0], Q, size[1])
    found = found.reshape(*pooled.shape[:-2], P * size[0], Q * size[1])
    rest = shape[0] - P * size[0], shape[1] - Q * size[1]
    return F.pad(found, (0, rest[1], 0, rest[0])) if any(rest) else found


_CONVOLUTIONS = (
    (F.conv1d, F.conv_transpose1d),
    (F.conv2d, F.conv_transpose2d),
    (F.conv3d, F.conv_transpose3d),
)

_RULES: dict[str, Rule] = {
    "AddmmBackward0": _dense,
    "MmBackward0": _dense,
    "ReluBackward0": _relu,
    "AddBackward0": _addition,
    "NativeBatchNormBackward0": _batch_norm,
    "ConvolutionBackward0": _convolution,
    "MaxPool2DWithIndicesBackward0": _maximum,
    "AdaptiveMaxPool2DBackward0": _maximum,
    "AvgPool2DBackward0": _average,
    "AdaptiveAvgPool2DBackward0": _adaptive_average,
    "MeanBackward1": _mean,
}


def _rule(node: Node) -> Rule | None:
    """The derivative of an operation, if it is known."""
    return _reshape if node.name().startswith(RESHAPES) else _RULES.get(node.name())


def is_known_operation(node: Node) -> bool:
    """Whether the derivative of an operation is known here."""
    return _rule(node) is not None


def _argument(node: Node, position: int) -> torch.Size:
    """The shape of an operation's argument; empty for a constant."""
    parent, result = node.next_functions[position]
    return torch.Size() if parent is None else shape_of(parent, result)
