"""Dense layers: ``z_t = W a_t + b`` at any number of positions t."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from hybridonn.tangent.pieces import Call, Piece, Product, Vector
from hybridonn.tangent.rules.base import Rule, trainable


class DenseRule(Rule):
    """``df/dW = sum_t g_t a_t^T`` and ``df/db = sum_t g_t``."""

    name = "dense"

    def covers(self, layer: nn.Module) -> tuple[str, ...]:
        """Weight and bias, as far as they are trainable."""
        return trainable(layer, "weight", "bias")

    def fits(self, layer: nn.Module, inputs: Tensor, output: Tensor) -> bool:
        """Samples first, features last, positions between."""
        return inputs.ndim >= 2 and inputs.is_floating_point()

    def pieces(self, layer: nn.Module, calls: Sequence[Call]) -> list[Piece]:
        """One product for the weight (and bias), or a vector for the bias alone."""
        names = self.covers(layer)
        if "weight" not in names:
            return [Vector("bias", sum_calls([_left(c.gradients)[:, :, 0].sum(-1) for c in calls]))]
        bias = "bias" if "bias" in names else None
        return [Product(tuple(calls), _left, _right, "weight", bias, lambda m: m[0])]


def _left(gradients: Tensor) -> Tensor:
    """Output gradients (n, C, ..., o) to (n, C, 1, o, T)."""
    n, C, *_, o = gradients.shape
    return gradients.reshape(n, C, 1, -1, o).transpose(3, 4)


def _right(inputs: Tensor) -> Tensor:
    """Inputs (n, ..., k) to (n, 1, k, T)."""
    return inputs.reshape(inputs.shape[0], 1, -1, inputs.shape[-1]).transpose(2, 3)


def sum_calls(values: Sequence[Tensor]) -> Tensor:
    """The gradients of a parameter that several calls used add up."""
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total
