"""What a rule is, and which rule a layer goes by."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

from torch import Tensor, nn

from hybridonn.tangent.compiled import Maxima, Window
from hybridonn.tangent.errors import TangentError
from hybridonn.tangent.pieces import Call, Piece


class Rule:
    """How the gradients of one kind of layer factorise.

    Attributes:
        name: what `Trace.methods` and `explain` call it.
    """

    name: str = "rule"

    def covers(self, layer: nn.Module) -> tuple[str, ...]:
        """The names of the layer's own trainable parameters that the rule accounts for."""
        raise NotImplementedError

    def fits(self, layer: nn.Module, inputs: Tensor, output: Tensor) -> bool:
        """Whether this execution has a shape that the rule knows, samples first."""
        raise NotImplementedError

    def pieces(self, layer: nn.Module, calls: Sequence[Call]) -> list[Piece]:
        """The pieces of the layer's gradients for its executions.

        Args:
            layer: the layer.
            calls: its executions, inputs (n, ...) and output gradients (n, C, ...).

        Returns:
            Pieces whose parameters are together ``covers(layer)``.
        """
        raise NotImplementedError

    def row_width(self, layer: nn.Module) -> int:
        """Numbers of `rows` a position; 0 where the rule does not follow a layer's pooling."""
        return 0

    def rows(self, layer: nn.Module, inputs: Tensor) -> Tensor:
        """What an output gradient at each position is multiplied with, (n, B, T, k).

        ``B`` divides the output's channels into blocks that share their rows.
        """
        raise NotImplementedError

    def pooled_pieces(self, layer: nn.Module, factors: Tensor, gradients: Tensor) -> list[Piece]:
        """The pieces of a layer whose output is pooled channel by channel.

        Args:
            layer: the layer.
            factors: its rows behind mask and pooling, (n, O, k, P).
            gradients: d output_c / d pooled output, (n, C, O, ...).

        Returns:
            Pieces whose parameters are together ``covers(layer)``.
        """
        raise NotImplementedError

    def window(self, layer: nn.Module) -> Window | None:
        """How compiled code sees the layer; None where there is none for it."""
        return None

    def piece_at_maxima(
        self, layer: nn.Module, inputs: Tensor, relu: Tensor, where: Maxima, gradients: Tensor
    ) -> Piece:
        """The piece of a layer with a `window` whose output is pooled to maxima.

        Args:
            layer: the layer.
            inputs: what it was given, (n, ...).
            relu: what a ReLU before the pooling gave, (n, O, T), open where positive.
            where: the maxima.
            gradients: d output_c / d pooled output, (n, C, O, P).

        Returns:
            A piece whose parameters are ``covers(layer)``.
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


def own_parameters(layer: nn.Module) -> dict[str, nn.Parameter]:
    """The layer's own trainable parameters by their names within it.

    A reparametrised weight is computed, not a parameter, and is left out.
    """
    own = layer._parameters.items()
    return {name: value for name, value in own if value is not None and value.requires_grad}


def trainable(layer: nn.Module, *names: str) -> tuple[str, ...]:
    """Those of the names that are trainable parameters of the layer itself."""
    own = own_parameters(layer)
    return tuple(name for name in names if name in own)
