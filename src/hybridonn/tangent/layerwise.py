"""From an observed forward pass to the pieces of its layers' gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from hybridonn.tangent.backward import output_gradients
from hybridonn.tangent.capture import Execution, Layer, full_name
from hybridonn.tangent.compiled import Maxima
from hybridonn.tangent.errors import TangentError
from hybridonn.tangent.pieces import Call, Piece, Product, Vector, full
from hybridonn.tangent.pooling import Maximum
from hybridonn.tangent.tails import Tail


@dataclass(frozen=True)
class LayerPieces:
    """The pieces of one layer's gradients.

    Attributes:
        layer: the layer.
        pieces: its pieces; empty where no output depends on it.
        pooled: whether they belong to positions behind the layer's pooling.
    """

    layer: Layer
    pieces: list[Piece]
    pooled: bool = False


_NO_TAILS: Mapping[int, Tail] = MappingProxyType({})


def pieces_of(
    layers: Sequence[Layer],
    outputs: Tensor,
    seeds: Tensor,
    *,
    create_graph: bool = False,
    keep: bool = False,
    tails: Mapping[int, Tail] = _NO_TAILS,
) -> list[LayerPieces]:
    """The pieces of some layers, with one backward pass for all of them.

    Args:
        layers: layers with executions that their rules cover.
        outputs: the network's outputs (n, ...).
        seeds: combinations (C, ...) of the outputs.
        create_graph: let the pieces be differentiated.
        keep: keep what does not depend on the seeds for the next backward pass.
        tails: of executions whose pooled output is looked at instead, by their order.

    Returns:
        The pieces of each layer.
    """
    executions = [execution for layer in layers for execution in layer.executions]
    if not executions:
        return []
    targets = targets_of(executions, tails)
    found = iter(output_gradients(outputs, targets, seeds, create_graph=create_graph))
    result = []
    for layer in layers:
        gradients = [next(found) for _ in layer.executions]
        tail = tails.get(layer.executions[0].order)
        if tail is None:
            result.append(_plain(layer, gradients, create_graph, keep))
        else:
            result.append(_pooled(layer, tail, gradients[0], create_graph, keep))
    return result


def targets_of(executions: Sequence[Execution], tails: Mapping[int, Tail]) -> list[GradientEdge]:
    """Where each execution's gradients are looked at: its output, or what its tail ends with."""
    return [tails[e.order].edge if e.order in tails else e.edge for e in executions]


def _plain(
    layer: Layer, gradients: Sequence[Tensor | None], create_graph: bool, keep: bool
) -> LayerPieces:
    """The pieces of a layer from the gradients of its own outputs."""
    calls = [
        Call(inputs_of(layer, execution, create_graph), gradient, execution.memo if keep else None)
        for execution, gradient in zip(layer.executions, gradients, strict=True)
        if gradient is not None
    ]
    assert layer.rule is not None
    return LayerPieces(layer, layer.rule.pieces(layer.module, calls) if calls else [])


def _pooled(
    layer: Layer, tail: Tail, gradient: Tensor | None, create_graph: bool, keep: bool
) -> LayerPieces:
    """The pieces of a layer from the gradients of its pooled output."""
    if gradient is None:
        return LayerPieces(layer, [], pooled=True)
    (execution,) = layer.executions
    memo = execution.memo if keep else {}
    rule = layer.rule
    assert rule is not None
    if tail.window is not None:
        assert isinstance(tail.pooling, Maximum)
        where = Maxima(tail.pooling.index, execution.shape, tail.window)
        inputs = inputs_of(layer, execution, False)
        piece = rule.piece_at_maxima(layer.module, inputs, tail.relu, where, gradient.flatten(3))
        return LayerPieces(layer, [piece])
    if "pooled" not in memo:
        inputs = inputs_of(layer, execution, create_graph)
        memo["pooled"] = tail.carry(lambda p: full(rule.rows(layer.module, inputs[p])))
    found = rule.pooled_pieces(layer.module, memo["pooled"], full(gradient))
    return LayerPieces(layer, found, pooled=True)


def joined(portions: Sequence[Sequence[Piece]]) -> list[Piece]:
    """The same pieces of several portions of outputs as pieces of all those outputs."""
    result: list[Piece] = []
    for pieces in zip(*portions, strict=True):
        first = pieces[0]
        if isinstance(first, Vector):
            values = torch.cat([p.values for p in pieces if isinstance(p, Vector)], 1)
            result.append(replace(first, values=values))
        elif isinstance(first, Product):
            parts = [p.calls[0].gradients for p in pieces if isinstance(p, Product)]
            call = replace(first.calls[0], gradients=torch.cat(parts, 1))
            result.append(replace(first, calls=(call,)))
    return result


def inputs_of(layer: Layer, execution: Execution, keep_graph: bool) -> Tensor:
    """What a layer was given, if it still is what it was.

    Raises:
        TangentError: it was changed in place since.
    """
    inputs = execution.inputs
    if inputs._version != execution.version:
        raise TangentError(
            f"the input of layer '{layer.name}' was changed in place after the layer had read "
            "it, so its gradient is lost; write the operation after it without inplace=True"
        )
    return inputs if keep_graph else inputs.detach()


def fitting(layers: Sequence[Layer], samples: int) -> list[Layer]:
    """Those layers whose every execution goes by a rule with the samples first."""
    found = []
    for layer in layers:
        if layer.rule is None or layer.problem or not layer.executions or not layer.covered:
            continue
        odd = next((e.shape for e in layer.executions if e.shape[0] != samples), None)
        if odd is None:
            found.append(layer)
        else:
            layer.problem = f"its output of shape {tuple(odd)} does not lead with the samples"
    return found


def covered_names(layers: Sequence[Layer]) -> set[str]:
    """The full names of the parameters that layers' rules account for."""
    return {full_name(layer.name, name) for layer in layers for name in layer.covered}
