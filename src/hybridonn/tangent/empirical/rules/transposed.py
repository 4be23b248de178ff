"""Transposed convolutions: the adjoint of a convolution, so its two factors change places."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import cast

from torch import Tensor, nn

from hybridonn.tangent.empirical.gradient_factors import (
    ExplicitGradient,
    FactoredGradient,
    LayerCall,
    ParameterGradient,
)
from hybridonn.tangent.empirical.rules.base import Rule, sum_over_calls, trainable
from hybridonn.tangent.empirical.rules.patches import pad, patches
from hybridonn.tangent.empirical.torch_internals import TransposedConvolution


class TransposedRule(Rule):
    """``df/dW = sum_t a_t v_t^T``: position t of the input meets patch v_t of the gradient."""

    name = "transposed convolution"

    def covers(self, layer: nn.Module) -> tuple[str, ...]:
        """Weight and bias, as far as they are trainable."""
        return trainable(layer, "weight", "bias")

    def fits(self, layer: nn.Module, inputs: Tensor, output: Tensor) -> bool:
        """Samples, channels, then as many axes as the kernel has."""
        return inputs.ndim == 2 + len(cast(TransposedConvolution, layer).kernel_size)

    def gradients(self, layer: nn.Module, calls: Sequence[LayerCall]) -> list[ParameterGradient]:
        """A factored gradient of the weight and an explicit one of the bias."""
        layer = cast(TransposedConvolution, layer)
        names = self.covers(layer)
        found: list[ParameterGradient] = []
        if "weight" in names:
            left = partial(_left, layer=layer)
            right = partial(_right, groups=layer.groups)
            restore = partial(_restore, shape=layer.weight.shape)
            weight = FactoredGradient(
                tuple(calls), left, right, "weight", None, restore, left_renames=False
            )
            found.append(weight)
        if "bias" in names:
            sums = [call.cotangents.flatten(3).sum(-1) for call in calls]
            found.append(ExplicitGradient("bias", sum_over_calls(sums)))
        return found


def _left(cotangents: Tensor, layer: TransposedConvolution) -> Tensor:
    """Cotangents (n, C, O, ...) to patches (n, C, groups, O/groups x taps, T)."""
    n, C = cotangents.shape[:2]
    padding = [int(p) for p in layer.padding]
    padded = pad(cotangents.flatten(0, 1), [(p, p) for p in padding])
    for axis, (k, s, d, extra) in enumerate(
        zip(layer.kernel_size, layer.stride, layer.dilation, layer.output_padding, strict=True)
    ):
        reach = d * (k - 1) + 1
        positions = (padded.shape[2 + axis] - reach - extra) // s + 1
        padded = padded.narrow(2 + axis, 0, (positions - 1) * s + reach)
    found = patches(padded, layer.kernel_size, layer.stride, layer.dilation)
    return found.view(n, C, layer.groups, -1, found.shape[-1])


def _right(inputs: Tensor, groups: int) -> Tensor:
    """Inputs (n, c, ...) to (n, groups, c/groups, T)."""
    n, c = inputs.shape[:2]
    return inputs.reshape(n, groups, c // groups, -1)


def _restore(matrix: Tensor, shape: Sequence[int]) -> Tensor:
    """(groups, O/groups x taps, c/groups) to the weight's (c, O/groups, taps...)."""
    return matrix.transpose(1, 2).reshape(tuple(shape))
