"""What follows a layer channel by channel: a shift, a ReLU, a pooling.

Where ``z = layer(a)`` goes on only to ``p = pool(relu(z + shift))``, every step is linear about
the point where it was run, and none mixes channels: ``dp_op = sum_t P_opt m_ot dz_ot`` with the
ReLU's mask m and the pooling P. The gradients of a convolution are then
``M_ic = sum_p g_icp V_ip^T`` with ``V_iop = sum_t P_opt m_ot u_it``, and the output gradients are
wanted at the pooled positions only, of which there are far fewer. V does not depend on the
outputs, nor, for a network's first layer, on the parameters: it is made once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

from hybridonn.tangent.capture import Execution, Layer
from hybridonn.tangent.compiled import Window, is_available
from hybridonn.tangent.nodes import saved, shape_of
from hybridonn.tangent.pieces import full
from hybridonn.tangent.pooling import Average, Maximum, Rows

# The pooled gradients of all outputs are held at once, so there must not be too many outputs.
_MOST_OUTPUTS = 64
# What a number costs, in multiply-adds of a large matrix product: gathered as a pooled factor,
# held as an output gradient, and multiplied in a product as small as one channel's. Measured on
# CPU cores with AVX-512.
_GATHERED, _HELD, _SMALL = 60, 50, 3.5


@dataclass(frozen=True)
class Tail:
    """A layer's way through mask and pooling.

    Attributes:
        edge: the place of the pooled output in autograd's graph.
        shape: the shape of the pooled output (n, O, ...).
        relu: what the ReLU gave, (n, O, T), which lets gradients through where it is positive;
            ones where there is no ReLU.
        pooling: what follows.
        window: how compiled code sees the layer; None where its pooled factors are made.
    """

    edge: GradientEdge
    shape: torch.Size
    relu: Tensor
    pooling: Maximum | Average
    window: Window | None = None

    def carry(self, rows: Rows) -> Tensor:
        """Factors at the layer's positions to factors at the pooled positions.

        Args:
            rows: makes the factors (n, B, T, k) of some samples.

        Returns:
            The pooled factors (n, O, k, P).
        """
        return self.pooling.carry(rows, full(self.relu)).transpose(-1, -2)


def find_tails(
    layers: Sequence[Layer],
    outputs: Tensor,
    count: int,
    room: int | None = None,
    *,
    block: int | None = None,
) -> dict[int, Tail]:
    """The tails that save work, by the order of their layer's execution.

    Args:
        layers: observed layers with rules.
        outputs: the network's outputs (n, ...).
        count: how many outputs (or probes) the kernel sums over.
        room: of how many outputs' gradients a layer's pooled factors may take the memory; None:
            of all.
        block: use compiled code, whose numbers cannot be differentiated, for at most so many
            samples at a time; None: do not. All parts of a kernel must name the same.

    Returns:
        Tails of layers that were executed once and whose rule takes one.
    """
    if count < 2 or count > _MOST_OUTPUTS or outputs.grad_fn is None:
        return {}
    users = _users(outputs.grad_fn)
    spared = count if room is None else min(count, room)
    found = {}
    for layer in layers:
        width = layer.rule.row_width(layer.module) if layer.rule else 0
        if width == 0 or len(layer.executions) != 1:
            continue
        (execution,) = layer.executions
        tail = _follow(execution, users) if len(execution.shape) == 4 else None
        if tail is None:
            continue
        if block is not None and is_available(outputs):
            tail = _seen_compiled(tail, layer, count, spared, block)
        pooled, whole = tail.shape.numel(), execution.shape.numel()
        # The pooled factors must be smaller than the gradients that need not be made.
        small = width * pooled <= spared * whole and _pays(width, count, pooled, whole)
        if tail.window is not None or small:
            found[execution.order] = tail
    return found


def _seen_compiled(tail: Tail, layer: Layer, count: int, spared: int, block: int) -> Tail:
    """The tail with its layer's window, if compiled code knows it and does with less memory.

    It makes the gradients of all outputs for a channel at a time, from a sample's patches a
    thread, in place of output gradients.
    """
    (execution,) = layer.executions
    assert layer.rule is not None
    window = layer.rule.window(layer.module) if isinstance(tail.pooling, Maximum) else None
    rows = block * count + torch.get_num_threads() * execution.shape[2:].numel()
    spared_numbers = spared * block * execution.shape[1:].numel()
    small = layer.rule.row_width(layer.module) * rows <= spared_numbers
    same = execution.inputs.dtype == tail.relu.dtype and is_available(execution.inputs)
    return replace(tail, window=window) if same and small else tail


def _pays(width: int, count: int, pooled: int, whole: int) -> bool:
    """Whether products over pooled positions cost less than over all positions.

    Args:
        width: numbers of a row.
        count: outputs.
        pooled: pooled positions, of all channels and samples.
        whole: the layer's own.
    """
    return pooled * width * (_GATHERED + _SMALL * count) < whole * count * (_HELD + width)


def _users(root: Node) -> dict[Node, list[tuple[Node, int]]]:
    """The operations that take each operation's result, with the place that it takes there."""
    users: dict[Node, list[tuple[Node, int]]] = {root: []}
    waiting = [root]
    while waiting:
        node = waiting.pop()
        for place, (parent, _) in enumerate(node.next_functions):
            if parent is None:
                continue
            if parent not in users:
                users[parent] = []
                waiting.append(parent)
            users[parent].append((node, place))
    return users


def _follow(execution: Execution, users: dict[Node, list[tuple[Node, int]]]) -> Tail | None:
    """Walk from a layer's output to the pooling; None where another operation comes between."""
    node, shape, relu = execution.edge.node, execution.shape, None
    while True:
        after = users.get(node, [])
        if len(after) != 1:
            return None
        (step, place), name = after[0], after[0][0].name()
        if name == "ReluBackward0" and relu is None:
            relu = saved(step, "result").detach()
        elif not (name == "AddBackward0" and _shifts(step, place, shape)):
            pooling = _POOLINGS[name](step, shape) if name in _POOLINGS else None
            if pooling is None:
                return None
            relu = execution.inputs.new_ones(1).expand(shape) if relu is None else relu
            return Tail(GradientEdge(step, 0), shape_of(step), relu.flatten(2), pooling)
        node = step


def _shifts(step: Node, place: int, shape: torch.Size) -> bool:
    """Whether an addition passes gradients on as they are."""
    return shape_of(step) == shape and (place == 0 or saved(step, "alpha") == 1)


def _maximum(step: Node, shape: torch.Size) -> Maximum:
    """The positions of the maxima, (n, O, P)."""
    return Maximum(saved(step, "result1").flatten(2))


def _average(step: Node, shape: torch.Size) -> Average | None:
    """The windows of an average pooling without padding."""
    plain = not any(saved(step, "padding")) and saved(step, "divisor_override") is None
    if not plain or saved(step, "ceil_mode"):
        return None
    size = saved(step, "kernel_size")
    stride = saved(step, "stride") or size
    axes = [
        [(i * s, i * s + q) for i in range(p)]
        for p, s, q in zip(shape_of(step)[2:], stride, size, strict=True)
    ]
    return _windows(axes, step, shape, lambda x: F.avg_pool2d(x, size, stride))


def _adaptive_average(step: Node, shape: torch.Size) -> Average:
    """The windows of an adaptive average pooling, floor(i T / P) to ceil((i + 1) T / P)."""
    height, width = shape_of(step)[2:]
    axes = [
        [(i * T // P, -(-(i + 1) * T // P)) for i in range(P)]
        for T, P in zip(shape[2:], (height, width), strict=True)
    ]
    return _windows(axes, step, shape, lambda x: F.adaptive_avg_pool2d(x, (height, width)))


def _windows(
    axes: list[list[tuple[int, int]]],
    step: Node,
    shape: torch.Size,
    pool: Callable[[Tensor], Tensor],
) -> Average:
    """Positions and weights (P, Q) of two axes' windows, short ones filled with weight zero."""
    device = saved(step, "self").device
    places, weights = [], []
    for windows, length in zip(axes, shape[2:], strict=True):
        start, stop = torch.tensor(windows, device=device).unbind(1)
        place = start[:, None] + torch.arange(int((stop - start).max()), device=device)
        weights.append((place < stop[:, None]).double() / (stop - start)[:, None])
        places.append(place.clamp(max=length - 1))
    position = places[0][:, None, :, None] * shape[3] + places[1][None, :, None, :]
    weight = weights[0][:, None, :, None] * weights[1][None, :, None, :]
    count = len(places[0]) * len(places[1])
    return Average(
        position.reshape(count, -1),
        weight.reshape(count, -1),
        lambda x: pool(x.unflatten(-1, shape[2:])),
    )


_POOLINGS = {
    "MaxPool2DWithIndicesBackward0": _maximum,
    "AdaptiveMaxPool2DBackward0": _maximum,
    "AvgPool2DBackward0": _average,
    "AdaptiveAvgPool2DBackward0": _adaptive_average,
}
