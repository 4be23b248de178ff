"""Layers whose output goes on through a shift and a ReLU to a pooling, channel by channel.

Where ``z = layer(a)`` goes on only to ``p = pool(relu(z + shift))``, every step is linear about
the point where it was run, and none mixes channels: ``dp_oq = sum_t P_oqt m_ot dz_ot`` with the
ReLU's mask m and the pooling P. The gradients of a convolution are then
``M_ic = sum_q g_icq V_iq^T`` with ``V_ioq = sum_t P_oqt m_ot u_it``, and the cotangents g are
wanted at the pooled positions q only, of which there are far fewer. V does not depend on the
outputs, nor, for a network's first layer, on the parameters: it is made once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, Node

from hybridonn.tangent.empirical.compiled import Maxima, Windows, is_available
from hybridonn.tangent.empirical.gradient_factors import ParameterGradient
from hybridonn.tangent.empirical.graph import users_of
from hybridonn.tangent.empirical.layer_io import Execution, RuledLayer
from hybridonn.tangent.empirical.pooling import AveragePooling, MaximumPooling, read_pooling
from hybridonn.tangent.empirical.precision import at_least_single
from hybridonn.tangent.empirical.rules.pooled import CompiledRule, PooledRule
from hybridonn.tangent.empirical.torch_internals import result_shape, saved

# The pooled cotangents of all outputs are held at once, so there must not be too many outputs.
_MOST_OUTPUTS = 64
# What a number costs, in multiply-adds of a large matrix product: gathered as a pooled factor,
# held as a cotangent, and multiplied in a product as small as one channel's. Measured on
# CPU cores with AVX-512.
_GATHERED, _HELD, _SMALL = 60, 50, 3.5

_Users = Mapping[Node, Sequence[tuple[Node, int]]]


@dataclass(frozen=True)
class PooledLayer:
    """A layer whose gradients are taken behind its pooling, from pooled factors.

    Attributes:
        module: the layer.
        rule: its rule.
        edge: the place of the pooled output in autograd's graph.
        shape: the shape of the pooled output (n, O, ...).
        relu: the result of the ReLU, (n, O, T), which lets gradients through where it is
            positive; ones where there is no ReLU.
        pooling: the pooling.
    """

    module: nn.Module
    rule: PooledRule
    edge: GradientEdge
    shape: torch.Size
    relu: Tensor
    pooling: MaximumPooling | AveragePooling

    def factors(self, inputs: Tensor) -> Tensor:
        """The layer's factors behind ReLU and pooling, (n, O, k, P), from its inputs (n, ...)."""

        def of_some(samples: slice) -> Tensor:
            return at_least_single(self.rule.position_factors(self.module, inputs[samples]))

        return self.pooling.pool_factors(of_some, at_least_single(self.relu)).transpose(-1, -2)

    def gradients(self, factors: Tensor, cotangents: Tensor) -> list[ParameterGradient]:
        """The layer's gradients from its pooled factors and pooled cotangents (n, C, O, ...)."""
        return self.rule.pooled_gradients(self.module, factors, at_least_single(cotangents))


@dataclass(frozen=True)
class CompiledLayer:
    """A layer whose gradients compiled code computes behind its pooling.

    Attributes:
        module: the layer.
        rule: its rule.
        edge: the place of the pooled output in autograd's graph.
        relu: as for `PooledLayer`.
        pooled: the positions that the pooling takes, or averages.
    """

    module: nn.Module
    rule: CompiledRule
    edge: GradientEdge
    relu: Tensor
    pooled: Maxima | Windows

    def gradient(self, inputs: Tensor, cotangents: Tensor) -> ParameterGradient:
        """The layer's gradient from its inputs (n, ...) and pooled cotangents (n, C, O, ...)."""
        g = cotangents.flatten(3)
        return self.rule.compiled_gradient(self.module, inputs, self.relu, self.pooled, g)


@dataclass(frozen=True)
class _Budget:
    """What a layer's pooled factors may take.

    Attributes:
        outputs: how many outputs (or probes) the kernel sums over.
        room: how many outputs' cotangents the factors may take the memory of.
        block: how many samples compiled code has at a time; None: compiled code is not wanted.
    """

    outputs: int
    room: int
    block: int | None


def find_pooled_layers(
    layers: Sequence[RuledLayer],
    outputs: Tensor,
    count: int,
    room: int | None = None,
    *,
    block: int | None = None,
) -> dict[int, PooledLayer | CompiledLayer]:
    """The layers whose gradients are cheaper behind their pooling.

    Args:
        layers: recorded layers with rules.
        outputs: the network's outputs (n, ...).
        count: how many outputs (or probes) the kernel sums over.
        room: how many outputs' cotangents a layer's pooled factors may take the memory of; None:
            of all.
        block: use compiled code, whose numbers cannot be differentiated, for at most so many
            samples at a time; None: do not. All blocks of a kernel must name the same.

    Returns:
        The layers, by the order of their one execution.
    """
    if count < 2 or count > _MOST_OUTPUTS or outputs.grad_fn is None:
        return {}
    users = users_of(outputs.grad_fn)
    block = block if is_available(outputs) else None
    budget = _Budget(count, count if room is None else min(count, room), block)
    found: dict[int, PooledLayer | CompiledLayer] = {}
    for layer in layers:
        (execution, *more) = layer.executions
        pooled = None if more else _follow(layer, execution, users)
        if pooled is None:
            continue
        compiled = _compile(pooled, execution, budget)
        if compiled is not None or _saves_work(pooled, execution.shape.numel(), budget):
            found[execution.order] = compiled or pooled
    return found


def _follow(layer: RuledLayer, execution: Execution, users: _Users) -> PooledLayer | None:
    """Walk from a layer's output to the pooling; None where another operation comes between."""
    rule, shape = layer.rule, execution.shape
    if not isinstance(rule, PooledRule) or not rule.factor_width(layer.module) or len(shape) != 4:
        return None
    node, relu = execution.edge.node, None
    while True:
        after = users.get(node, [])
        if len(after) != 1:
            return None
        step, position = after[0]
        if step.name() == "ReluBackward0" and relu is None:
            relu = saved(step, "result").detach()
        elif not _is_shift(step, position, shape):
            pooling = read_pooling(step)
            if pooling is None:
                return None
            relu = execution.inputs.new_ones(1).expand(shape) if relu is None else relu
            edge, pooled_shape = GradientEdge(step, 0), result_shape(step)
            return PooledLayer(layer.module, rule, edge, pooled_shape, relu.flatten(2), pooling)
        node = step


def _is_shift(step: Node, position: int, shape: torch.Size) -> bool:
    """Whether an operation is an addition that passes gradients on as they are."""
    if step.name() != "AddBackward0" or result_shape(step) != shape:
        return False
    return position == 0 or saved(step, "alpha") == 1


def _compile(pooled: PooledLayer, execution: Execution, budget: _Budget) -> CompiledLayer | None:
    """The layer for compiled code, if there is code for it that takes less memory.

    It computes the gradients of all outputs for a channel at a time, from a sample's patches for
    each thread, in place of cotangents at every position.
    """
    rule, pooling, inputs = pooled.rule, pooled.pooling, execution.inputs
    if budget.block is None or inputs.dtype != pooled.relu.dtype or not is_available(inputs):
        return None
    if not isinstance(rule, CompiledRule):
        return None
    geometry = rule.geometry(pooled.module)
    rows = budget.block * budget.outputs + torch.get_num_threads() * execution.shape[2:].numel()
    spared = budget.room * budget.block * execution.shape[1:].numel()
    if geometry is None or rule.factor_width(pooled.module) * rows > spared:
        return None
    if isinstance(pooling, MaximumPooling):
        places = Maxima(pooling.index, execution.shape, geometry)
    else:
        places = Windows(*pooling.windows, execution.shape, geometry)
    return CompiledLayer(pooled.module, rule, pooled.edge, pooled.relu, places)


def _saves_work(layer: PooledLayer, numbers: int, budget: _Budget) -> bool:
    """Whether pooled factors take less memory and less work than cotangents at all positions.

    Args:
        layer: the layer.
        numbers: numbers of the layer's own output.
        budget: what the factors may take.
    """
    width, pooled = layer.rule.factor_width(layer.module), layer.shape.numel()
    if width * pooled > budget.room * numbers:
        return False
    work = pooled * width * (_GATHERED + _SMALL * budget.outputs)
    return work < numbers * budget.outputs * (_HELD + width)
