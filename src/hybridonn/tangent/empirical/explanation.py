"""How each layer's part of a kernel is computed, in words."""

from __future__ import annotations

from collections.abc import Mapping, Set

from hybridonn.tangent.empirical.compiled import Maxima
from hybridonn.tangent.empirical.forward_pass import ForwardPass
from hybridonn.tangent.empirical.layer_io import Layer, Recorder, covered_names, full_name
from hybridonn.tangent.empirical.operation_layers import find_odd_uses
from hybridonn.tangent.empirical.pooled_convolution import CompiledLayer


def describe_methods(recorder: Recorder) -> dict[str, str]:
    """How each recorded layer's part is computed, by the layers' names, in order of execution."""
    layers = recorder.selected()
    parameters = {full_name(x.name, name): p for x in layers for name, p in x.own.items()}
    odd = find_odd_uses(recorder.outputs, parameters)
    return {layer.name: _describe_layer(layer, odd) for layer in layers}


def _describe_layer(layer: Layer, odd: Mapping[str, str]) -> str:
    """How a layer's part is computed; ``odd`` says why not, of parameters without a rule."""
    holds = layer.rule is not None and not layer.problem
    rest = [name for name in layer.own if not holds or name not in layer.covered]
    slow = [name for name in rest if odd.get(full_name(layer.name, name), "x")]
    used = [name for name in rest if name not in slow]
    parts = [layer.rule.name] if layer.rule and holds and layer.covered else []
    parts += [f"operations that use {', '.join(used)}"] if used else []
    if slow and not parts:
        why = layer.problem or f"no rule for {type(layer.module).__name__}"
        uses = [f"{name} is used by {use}" for name in slow if (use := _use(layer, name, odd))]
        return ", and ".join([f"vector products: {why}", *uses])
    parts += [f"vector products for {', '.join(slow)}"] if slow else []
    return "; ".join(parts)


def _use(layer: Layer, name: str, odd: Mapping[str, str]) -> str:
    """The operation without a rule that uses a parameter; empty where none is known."""
    return odd.get(full_name(layer.name, name), "").partition("Backward")[0]


def describe_layers(
    forward: ForwardPass, recorder: Recorder, wrong: Mapping[str, str], reached: Set[str]
) -> dict[str, str]:
    """How each part of the kernel of a forward pass is computed.

    Args:
        forward: the forward pass.
        recorder: its recorder.
        wrong: the layers whose rules do not hold, with the reason.
        reached: the names of the parameters that the outputs depend on.

    Returns:
        The way of each layer, in order of execution, then that of each parameter that is used
        outside a known layer, by their names.
    """
    covered = covered_names(forward.layers)
    lines = describe_methods(recorder)
    for name, why in wrong.items():
        own = {full for full in reached if full == name or full.rpartition(".")[0] == name}
        how = "operations that use its parameters" if own <= covered else "vector products"
        lines[name] = f"{how}: {why}"
    if recorder.wanted in ("first", "last"):
        why = f"its parameters are used {recorder.wanted} on the way to the outputs"
        lines = {name: f"{how} ({why})" for name, how in lines.items()}
    for layer in forward.layers:
        pooled = forward.pooled.get(layer.executions[0].order)
        if isinstance(pooled, CompiledLayer):
            maxima = isinstance(pooled.pooled, Maxima)
            lines[layer.name] += ", compiled, " + ("at its maxima" if maxima else "by its averages")
    loose = [n for n in reached if n not in covered and n.rpartition(".")[0] not in lines]
    return lines | dict.fromkeys(loose, "vector products: used outside a known layer")


def describe_slow(names: list[str]) -> str:
    """What to say of parameters whose gradients are taken sample by sample."""
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return (
        f"no rule accounts for {shown}: their part of the tangent kernel is exact but comes from "
        "one backward pass for each sample; explain() and methods say why, and register_rule() "
        "takes a rule for a layer"
    )
