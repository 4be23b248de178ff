"""Dense layers: ``z_t = W a_t + b`` at any number of positions t."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from hybridonn.tangent.empirical.gradient_factors import (
    ExplicitGradient,
    FactoredGradient,
    LayerCall,
    ParameterGradient,
)
from hybridonn.tangent.empirical.rules.base import Rule, sum_over_calls, trainable


class DenseRule(Rule):
    """``df/dW = sum_t g_t a_t^T`` and ``df/db = sum_t g_t``."""

    name = "dense"

    def covers(self, layer: nn.Module) -> tuple[str, ...]:
        """Weight and bias, as far as they are trainable."""
        return trainable(layer, "weight", "bias")

    def fits(self, layer: nn.Module, inputs: Tensor, output: Tensor) -> bool:
        """Samples first, features last, positions between."""
        return inputs.ndim >= 2 and inputs.is_floating_point()

    def gradients(self, layer: nn.Module, calls: Sequence[LayerCall]) -> list[ParameterGradient]:
        """A factored gradient of weight and bias, or an explicit one of the bias alone."""
        names = self.covers(layer)
        if "weight" not in names:
            sums = [_left(call.cotangents)[:, :, 0].sum(-1) for call in calls]
            return [ExplicitGradient("bias", sum_over_calls(sums))]
        bias = "bias" if "bias" in names else None
        return [FactoredGradient(tuple(calls), _left, _right, "weight", bias, lambda m: m[0])]


def _left(cotangents: Tensor) -> Tensor:
    """Cotangents (n, C, ..., o) to (n, C, 1, o, T)."""
    n, C, *_, o = cotangents.shape
    return cotangents.reshape(n, C, 1, -1, o).transpose(3, 4)


def _right(inputs: Tensor) -> Tensor:
    """Inputs (n, ..., k) to (n, 1, k, T)."""
    return inputs.reshape(inputs.shape[0], 1, -1, inputs.shape[-1]).transpose(2, 3)
