"""From a recorded forward pass to the gradients of its layers' parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hybridonn.tangent.empirical.cotangents import (
    autograd_cotangents,
    batched_cotangents,
    known_cotangents,
)
from hybridonn.tangent.empirical.forward_pass import ForwardPass
from hybridonn.tangent.empirical.gradient_factors import LayerCall, ParameterGradient
from hybridonn.tangent.empirical.layer_io import RuledLayer
from hybridonn.tangent.empirical.pooled_convolution import CompiledLayer, PooledLayer


@dataclass(frozen=True)
class LayerGradients:
    """The gradients of one layer's parameters.

    Attributes:
        layer: the layer.
        gradients: the gradients of its parameters; empty where no output depends on them.
        pooled: whether their positions are those behind the layer's pooling: few, so that all
            outputs can be contracted at once.
    """

    layer: RuledLayer
    gradients: list[ParameterGradient]
    pooled: bool = False


def layer_gradients(
    forward: ForwardPass, vectors: Tensor, *, create_graph: bool = False, keep: bool = False
) -> list[LayerGradients]:
    """The gradients of the layers of a forward pass, by one backward pass for all of them.

    Args:
        forward: the forward pass.
        vectors: combinations (C, ...) of the outputs.
        create_graph: let the gradients be differentiated.
        keep: keep what does not depend on the vectors for the next backward pass.

    Returns:
        The gradients of each layer.
    """
    targets = forward.targets()
    if not targets:
        return []
    where = forward.outputs, targets, vectors
    with torch.set_grad_enabled(create_graph):
        known = known_cotangents(*where)
        if known is None and not create_graph and len(vectors) > 1:
            known = batched_cotangents(*where)
    if known is None:
        known = autograd_cotangents(*where, create_graph=create_graph)
    found, result = iter(known), []
    for layer in forward.layers:
        cotangents = [next(found) for _ in layer.executions]
        pooled = forward.pooled.get(layer.executions[0].order)
        if pooled is None:
            result.append(_at_own_positions(layer, cotangents, create_graph, keep))
        else:
            result.append(_behind_pooling(layer, pooled, cotangents[0], create_graph, keep))
    return result


def _at_own_positions(
    layer: RuledLayer, cotangents: Sequence[Tensor | None], create_graph: bool, keep: bool
) -> LayerGradients:
    """The gradients of a layer from the cotangents of its own outputs."""
    calls = [
        LayerCall(layer.inputs(one, create_graph), cotangent, one.cache if keep else None)
        for one, cotangent in zip(layer.executions, cotangents, strict=True)
        if cotangent is not None
    ]
    return LayerGradients(layer, layer.rule.gradients(layer.module, calls) if calls else [])


def _behind_pooling(
    layer: RuledLayer,
    pooled: PooledLayer | CompiledLayer,
    cotangents: Tensor | None,
    create_graph: bool,
    keep: bool,
) -> LayerGradients:
    """The gradients of a layer from the cotangents of its pooled output."""
    if cotangents is None:
        return LayerGradients(layer, [], pooled=True)
    (execution,) = layer.executions
    if isinstance(pooled, CompiledLayer):
        inputs = layer.inputs(execution, False)
        return LayerGradients(layer, [pooled.gradient(inputs, cotangents)])
    cache = execution.cache if keep else {}
    if "pooled" not in cache:
        cache["pooled"] = pooled.factors(layer.inputs(execution, create_graph))
    return LayerGradients(layer, pooled.gradients(cache["pooled"], cotangents), pooled=True)


def split_pooled(
    found: Sequence[LayerGradients],
) -> tuple[list[ParameterGradient], list[ParameterGradient]]:
    """The gradients at the layers' own positions, and those behind poolings."""
    own = [one for each in found if not each.pooled for one in each.gradients]
    return own, [one for each in found if each.pooled for one in each.gradients]
