"""How each layer's part of a kernel is computed, in words."""

from __future__ import annotations

from hybridonn.tangent.empirical.forward_pass import ForwardPass
from hybridonn.tangent.empirical.layer_io import Recorder, covered_names
from hybridonn.tangent.empirical.pooled_convolution import CompiledLayer
from hybridonn.tangent.empirical.verification import Verification


def describe_methods(recorder: Recorder) -> dict[str, str]:
    """How each recorded layer's part is computed, by the layers' names, in order of execution."""
    found = {}
    for layer in recorder.selected():
        missing = [name for name in layer.own if name not in layer.covered]
        if layer.rule is None:
            found[layer.name] = f"vector products: no rule for {type(layer.module).__name__}"
        elif layer.problem:
            found[layer.name] = f"vector products: {layer.problem}"
        elif missing:
            found[layer.name] = f"{layer.rule.name}; vector products for {', '.join(missing)}"
        else:
            found[layer.name] = layer.rule.name
    return found


def describe_layers(
    forward: ForwardPass, recorder: Recorder, verified: Verification
) -> dict[str, str]:
    """How each part of the kernel of a forward pass is computed.

    Args:
        forward: the forward pass.
        recorder: its recorder.
        verified: what autograd says of the rules.

    Returns:
        The way of each layer, in order of execution, then that of each parameter that is used
        outside a known layer, by their names.
    """
    slow = {name: f"vector products: {why}" for name, why in verified.wrong.items()}
    lines = {**describe_methods(recorder), **slow}
    if recorder.wanted in ("first", "last"):
        why = f"its parameters are used {recorder.wanted} on the way to the outputs"
        lines = {name: f"{how} ({why})" for name, how in lines.items()}
    good = [layer for layer in forward.layers if layer.name in verified.layers]
    for layer in good:
        if isinstance(forward.pooled.get(layer.executions[0].order), CompiledLayer):
            lines[layer.name] += ", compiled, at its maxima"
    covered = covered_names(good)
    loose = [n for n in verified.reached if n not in covered and n.rpartition(".")[0] not in lines]
    return lines | dict.fromkeys(loose, "vector products: used outside a known layer")


def describe_slow(names: list[str]) -> str:
    """What to say of parameters whose gradients are taken sample by sample."""
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return (
        f"no rule accounts for {shown}: their part of the tangent kernel is exact but comes from "
        "one backward pass for each sample; explain() and methods say why, and register_rule() "
        "takes a rule for a layer"
    )
