"""From an observed forward pass to the pieces of its layers' gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from hybridonn.tangent.backward import output_gradients
from hybridonn.tangent.capture import Execution, Layer, full_name
from hybridonn.tangent.errors import TangentError
from hybridonn.tangent.pieces import Call, Piece


@dataclass(frozen=True)
class LayerPieces:
    """The pieces of one layer's gradients.

    Attributes:
        layer: the layer.
        pieces: its pieces; empty where no output depends on it.
    """

    layer: Layer
    pieces: list[Piece]


def pieces_of(
    layers: Sequence[Layer],
    outputs: Tensor,
    seeds: Tensor,
    *,
    create_graph: bool = False,
    keep: bool = False,
) -> list[LayerPieces]:
    """The pieces of some layers, with one backward pass for all of them.

    Args:
        layers: layers with executions that their rules cover.
        outputs: the network's outputs (n, ...).
        seeds: combinations (C, ...) of the outputs.
        create_graph: let the pieces be differentiated.
        keep: keep what does not depend on the seeds for the next backward pass.

    Returns:
        The pieces of each layer.
    """
    targets = [execution.edge for layer in layers for execution in layer.executions]
    if not targets:
        return []
    found = iter(output_gradients(outputs, targets, seeds, create_graph=create_graph))
    result = []
    for layer in layers:
        calls = []
        for execution in layer.executions:
            gradients = next(found)
            if gradients is not None:
                inputs = inputs_of(layer, execution, create_graph)
                calls.append(Call(inputs, gradients, execution.memo if keep else None))
        assert layer.rule is not None
        pieces = layer.rule.pieces(layer.module, calls) if calls else []
        result.append(LayerPieces(layer, pieces))
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
