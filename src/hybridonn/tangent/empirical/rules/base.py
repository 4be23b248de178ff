"""What a rule is, and which rule a layer goes by."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

from torch import Tensor, nn

from hybridonn.tangent.empirical.gradient_factors import LayerCall, ParameterGradient
from hybridonn.tangent.empirical.torch_internals import own_parameters
from hybridonn.tangent.errors import TangentError


class Rule:
    """How the gradients of one kind of layer factorise.

    Attributes:
        name: what `Trace.methods` and `explain` call the rule.
    """

    name: str = "rule"

    def covers(self, layer: nn.Module) -> tuple[str, ...]:
        """The names of the layer's own trainable parameters that the rule accounts for."""
        raise NotImplementedError

    def fits(self, layer: nn.Module, inputs: Tensor, output: Tensor) -> bool:
        """Whether this execution has a shape that the rule knows, samples first."""
        raise NotImplementedError

    def gradients(self, layer: nn.Module, calls: Sequence[LayerCall]) -> list[ParameterGradient]:
        """The gradients of the layer's parameters from its executions.

        Args:
            layer: the layer.
            calls: its executions, inputs (n, ...) and cotangents (n, C, ...).

        Returns:
            Gradients whose parameters are together ``covers(layer)``.
        """
        raise NotImplementedError


@singledispatch
def rule_of(layer: nn.Module) -> Rule | None:
    """The rule that a layer goes by: its class's or that of the nearest base; None if unknown."""
    return None


def register_rule(module_type: type[nn.Module], rule: Rule) -> None:
    """Let layers of a class, and of classes derived from it, go by a rule.

    Args:
        module_type: the class of the layers.
        rule: their rule, for example ``ScaleShiftRule(shift="bias")``.

    Raises:
        TangentError: the class is no module class, or the rule is no rule.
    """
    if not (isinstance(module_type, type) and issubclass(module_type, nn.Module)):
        raise TangentError(f"register_rule takes a class of torch.nn.Module, not {module_type!r}")
    if not isinstance(rule, Rule):
        raise TangentError(
            f"the rule of {module_type.__name__} is {rule!r}; "
            "it must be an instance of a class derived from hybridonn.tangent.Rule"
        )
    rule_of.register(module_type, lambda layer: rule)


def trainable_parameters(layer: nn.Module) -> dict[str, nn.Parameter]:
    """The layer's own trainable parameters by their names within it.

    A reparametrised weight is computed, not a parameter, and is left out.
    """
    own = own_parameters(layer).items()
    return {name: value for name, value in own if value is not None and value.requires_grad}


def trainable(layer: nn.Module, *names: str) -> tuple[str, ...]:
    """Those of the names that are trainable parameters of the layer itself."""
    own = trainable_parameters(layer)
    return tuple(name for name in names if name in own)


def sum_over_calls(values: Sequence[Tensor]) -> Tensor:
    """The sum of the gradients of a parameter that several calls used."""
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total
