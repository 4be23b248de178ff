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
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

from hybridonn.tangent.capture import Execution, Layer

# The pooled gradients of all outputs are held at once, so there must not be too many outputs.
_MOST_OUTPUTS = 64
# Some samples at a time, so that what is gathered fits a CPU's cache.
_CACHE_NUMBERS = 1e6


@dataclass(frozen=True)
class Tail:
    """A layer's way through mask and pooling.

    Attributes:
        edge: the place of the pooled output in autograd's graph.
        shape: the shape of the pooled output (n, O, ...).
        mask: where the ReLU lets gradients through, (n, O, T); None: there is none.
        index: the position that each pooled position takes, (n, O, P): maximum pooling.
        window: positions and weights (P, Q) that it averages: average pooling.
    """

    edge: GradientEdge
    shape: torch.Size
    mask: Tensor | None
    index: Tensor | None
    window: tuple[Tensor, Tensor] | None

    def carry(self, rows: Callable[[slice], Tensor], width: int) -> Tensor:
        """Factors at the layer's positions to factors at the pooled positions.

        Args:
            rows: makes the factors (n, B, T, k) of some samples.
            width: their number k.

        Returns:
            The pooled factors (n, O, k, P).
        """
        n = self.shape[0]
        taken = self.shape[1:].numel() if self.window is None else self.window[0].numel()
        size = max(int(_CACHE_NUMBERS // (taken * width)), 1)
        parts = [slice(at, min(at + size, n)) for at in range(0, n, size)]
        found = [self._carry(rows(part), part) for part in parts]
        return (found[0] if len(found) == 1 else torch.cat(found)).transpose(-1, -2)

    def _carry(self, rows: Tensor, part: slice) -> Tensor:
        """The pooled rows (n, O, P, k) of some samples."""
        mask = None if self.mask is None else self.mask[part]
        if self.window is None:
            assert self.index is not None
            return _take(rows, self.index[part], mask)
        return _averaged(rows, self.shape[1], mask, *self.window)


def _take(rows: Tensor, index: Tensor, mask: Tensor | None) -> Tensor:
    """The rows of the maxima, (n, O, P, k); none where the ReLU is shut."""
    n, channels, P = index.shape
    found = _gather(rows, index.view(n, rows.shape[1], -1)).view(n, channels, P, -1)
    if mask is None:
        return found
    open_ = mask.gather(2, index)[..., None].to(found)
    return found * open_ if found.requires_grad else found.mul_(open_)


def _averaged(
    rows: Tensor, channels: int, mask: Tensor | None, position: Tensor, weight: Tensor
) -> Tensor:
    """The rows' averages over windows (P, Q), as far as the ReLU is open, (n, O, P, k)."""
    n, B, T, k = rows.shape
    P, Q = weight.shape
    places = position.flatten().expand(n, B, P * Q)
    near = _gather(rows, places).view(-1, Q, k)
    if mask is None:
        mask = torch.ones(1, 1, 1, dtype=torch.bool, device=rows.device).expand(n, channels, T)
    open_ = mask.view(n, B, channels // B, T).transpose(2, 3).to(rows)
    left = _gather(open_, places).view(n, B, P, Q, -1) * weight.to(rows)[:, :, None]
    if k == 1:  # a sum is faster than many tiny products
        found = (left.flatten(0, 2) * near).sum(1)
    else:
        found = torch.bmm(left.flatten(0, 2).transpose(1, 2), near)
    return found.view(n, B, P, -1, k).transpose(2, 3).reshape(n, channels, P, k)


def _gather(rows: Tensor, index: Tensor) -> Tensor:
    """The rows (n, B, T, k) at some positions (n, B, S), as (n, B, S, k)."""
    n, B, T, k = rows.shape
    first = torch.arange(n * B, device=rows.device).view(n, B, 1) * T
    found = rows.reshape(-1, k).index_select(0, (index + first).flatten())
    return found.view(n, B, -1, k)


def find_tails(
    layers: Sequence[Layer], outputs: Tensor, count: int, room: int | None = None
) -> dict[int, Tail]:
    """The tails that save work, by the order of their layer's execution.

    Args:
        layers: observed layers with rules.
        outputs: the network's outputs (n, ...).
        count: how many outputs (or probes) the kernel sums over.
        room: of how many outputs' gradients a layer's pooled factors may take the memory; None:
            of all.

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
        # The pooled factors must be smaller than the gradients that need not be made.
        if tail and width * tail.shape.numel() <= spared * execution.shape.numel():
            found[execution.order] = tail
    return found


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
    node, mask, shape = execution.edge.node, None, execution.shape
    while True:
        after = users.get(node, [])
        if len(after) != 1:
            return None
        (step, place), name = after[0], after[0][0].name()
        if name == "ReluBackward0" and mask is None:
            mask = (_saved(step, "result") > 0).flatten(2)
        elif not (name == "AddBackward0" and _shifts(step, place, shape)):
            pooling = _POOLINGS.get(name)
            window = pooling(step, shape) if pooling else None
            return (
                None if window is None else Tail(GradientEdge(step, 0), _shape(step), mask, *window)
            )
        node = step


def _shifts(step: Node, place: int, shape: torch.Size) -> bool:
    """Whether an addition passes gradients on as they are."""
    return _shape(step) == shape and (place == 0 or _saved(step, "alpha") == 1)


Pooled = tuple[Tensor | None, tuple[Tensor, Tensor] | None]


def _maximum(step: Node, shape: torch.Size) -> Pooled:
    """The positions of the maxima, (n, O, P)."""
    return _saved(step, "result1").flatten(2), None


def _average(step: Node, shape: torch.Size) -> Pooled | None:
    """The windows of an average pooling without padding."""
    plain = not any(_saved(step, "padding")) and _saved(step, "divisor_override") is None
    if not plain or _saved(step, "ceil_mode"):
        return None
    size = _saved(step, "kernel_size")
    stride = _saved(step, "stride") or size
    pooled = _shape(step)[2:]
    axes = [
        [(i * s, i * s + q) for i in range(p)] for p, s, q in zip(pooled, stride, size, strict=True)
    ]
    return None, _windows(axes, shape, _saved(step, "self").device)


def _adaptive_average(step: Node, shape: torch.Size) -> Pooled:
    """The windows of an adaptive average pooling, floor(i T / P) to ceil((i + 1) T / P)."""
    axes = [
        [(i * T // P, -(-(i + 1) * T // P)) for i in range(P)]
        for T, P in zip(shape[2:], _shape(step)[2:], strict=True)
    ]
    return None, _windows(axes, shape, _saved(step, "self").device)


def _windows(
    axes: list[list[tuple[int, int]]], shape: torch.Size, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Positions and weights (P, Q) of two axes' windows, short ones filled with weight zero."""
    places, weights = [], []
    for windows, length in zip(axes, shape[2:], strict=True):
        start, stop = torch.tensor(windows, device=device).unbind(1)
        place = start[:, None] + torch.arange(int((stop - start).max()), device=device)
        weights.append((place < stop[:, None]).double() / (stop - start)[:, None])
        places.append(place.clamp(max=length - 1))
    position = places[0][:, None, :, None] * shape[3] + places[1][None, :, None, :]
    weight = weights[0][:, None, :, None] * weights[1][None, :, None, :]
    count = len(places[0]) * len(places[1])
    return position.reshape(count, -1), weight.reshape(count, -1)


_POOLINGS = {
    "MaxPool2DWithIndicesBackward0": _maximum,
    "AdaptiveMaxPool2DBackward0": _maximum,
    "AvgPool2DBackward0": _average,
    "AdaptiveAvgPool2DBackward0": _adaptive_average,
}


def _shape(node: Node) -> torch.Size:
    """The shape of an operation's result."""
    return torch.Size(node._input_metadata[0].shape)  # type: ignore[attr-defined]


def _saved(node: Node, name: str) -> Any:
    """What an operation keeps for its backward pass."""
    return getattr(node, f"_saved_{name}")
