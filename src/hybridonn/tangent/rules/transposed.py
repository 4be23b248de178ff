"""Transposed convolutions: the adjoint of a convolution, so its two factors change places."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import cast

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from hybridonn.tangent.pieces import Call, Piece, Product, Vector
from hybridonn.tangent.rules.base import Rule, trainable
from hybridonn.tangent.rules.dense import sum_calls
from hybridonn.tangent.rules.patches import pad, patches


class TransposedRule(Rule):
    """``df/dW = sum_t a_t v_t^T``: position t of the input meets patch v_t of the gradient."""

    name = "transposed convolution"

    def covers(self, layer: nn.Module) -> tuple[str, ...]:
        """Weight and bias, as far as they are trainable."""
        return trainable(layer, "weight", "bias")

    def fits(self, layer: nn.Module, inputs: Tensor, output: Tensor) -> bool:
        """Samples, channels, then as many axes as the kernel has."""
        return inputs.ndim == 2 + len(cast(_ConvTransposeNd, layer).kernel_size)

    def pieces(self, layer: nn.Module, calls: Sequence[Call]) -> list[Piece]:
        """A product for the weight and a vector for the bias."""
        layer = cast(_ConvTransposeNd, layer)
        names = self.covers(layer)
        found: list[Piece] = []
        if "weight" in names:
            left = partial(_left, layer=layer)
            right = partial(_right, groups=layer.groups)
            restore = partial(_restore, shape=layer.weight.shape)
            found.append(Product(tuple(calls), left, right, "weight", None, restore, direct=False))
        if "bias" in names:
            sums = [call.gradients.flatten(3).sum(-1) for call in calls]
            found.append(Vector("bias", sum_calls(sums)))
        return found


def _left(gradients: Tensor, layer: _ConvTransposeNd) -> Tensor:
    """Output gradients (n, C, O, ...) to patches (n, C, groups, O/groups x taps, T)."""
    n, C = gradients.shape[:2]
    padding = [int(p) for p in layer.padding]
    padded = pad(gradients.flatten(0, 1), [(p, p) for p in padding])
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
