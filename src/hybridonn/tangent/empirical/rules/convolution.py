"""Convolutions of one to three dimensions, with every option of torch's."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from hybridonn.tangent.empirical.compiled import (
    ConvolutionGeometry,
    GradientsOfRows,
    Maxima,
    Windows,
)
from hybridonn.tangent.empirical.gradient_factors import (
    PORTION_NUMBERS,
    ExplicitGradient,
    FactoredGradient,
    LayerCall,
    ParameterGradient,
    RowwiseGradient,
    combine_outputs,
)
from hybridonn.tangent.empirical.rules.base import sum_over_calls, trainable
from hybridonn.tangent.empirical.rules.patches import pad, patch_rows, patches, weight_from_rows
from hybridonn.tangent.empirical.rules.pooled import CompiledRule
from hybridonn.tangent.empirical.torch_internals import Convolution


class ConvolutionRule(CompiledRule):
    """``df/dW = sum_t g_t u_t^T`` with u_t the patch of position t, group by group."""

    name = "convolution"

    def covers(self, layer: nn.Module) -> tuple[str, ...]:
        """Weight and bias, as far as they are trainable."""
        return trainable(layer, "weight", "bias")

    def fits(self, layer: nn.Module, inputs: Tensor, output: Tensor) -> bool:
        """Samples, channels, then as many axes as the kernel has."""
        return inputs.ndim == 2 + len(cast(Convolution, layer).kernel_size)

    def gradients(self, layer: nn.Module, calls: Sequence[LayerCall]) -> list[ParameterGradient]:
        """A factored gradient of weight and bias, or an explicit one of the bias alone."""
        layer = cast(Convolution, layer)
        names = self.covers(layer)
        if "weight" not in names:
            sums = [call.cotangents.flatten(3).sum(-1) for call in calls]
            return [ExplicitGradient("bias", sum_over_calls(sums))]
        left = partial(_left, groups=layer.groups)
        right = partial(_right, layer=layer)
        shape = layer.weight.shape
        restore = partial(weight_from_rows if len(shape) == 4 else Tensor.reshape, shape=shape)
        bias = "bias" if "bias" in names else None
        return [FactoredGradient(tuple(calls), left, right, "weight", bias, restore)]

    def factor_width(self, layer: nn.Module) -> int:
        """The numbers of a patch, and one for the bias; two dimensions only."""
        layer = cast(Convolution, layer)
        if len(layer.kernel_size) != 2 or "weight" not in self.covers(layer):
            return 0
        return layer.weight[0].numel() + ("bias" in self.covers(layer))

    def position_factors(self, layer: nn.Module, inputs: Tensor) -> Tensor:
        """The patch of each position (n, groups, T, taps x c/groups), then a one for the bias."""
        layer = cast(Convolution, layer)
        padded = pad(inputs, _margins(layer), layer.padding_mode)
        found = patch_rows(padded, layer.kernel_size, layer.stride, layer.dilation, layer.groups)
        return F.pad(found, (0, 1), value=1.0) if "bias" in self.covers(layer) else found

    def pooled_gradients(
        self, layer: nn.Module, factors: Tensor, cotangents: Tensor
    ) -> list[ParameterGradient]:
        """A factored gradient of weight and bias, each channel a block."""
        shape = cast(Convolution, layer).weight.shape
        call = LayerCall(factors, cotangents.flatten(3))
        return [
            FactoredGradient(
                (call,),
                _by_channel,
                _unchanged,
                "weight",
                "bias" if "bias" in self.covers(layer) else None,
                partial(weight_from_rows, shape=shape),
                bias_in_right=True,
            )
        ]

    def geometry(self, layer: nn.Module) -> ConvolutionGeometry | None:
        """The layer's geometry, for two dimensions without groups and a padding of zeros."""
        layer = cast(Convolution, layer)
        if self.factor_width(layer) == 0 or layer.groups > 1 or layer.padding_mode != "zeros":
            return None
        padding = tuple(margin[0] for margin in _margins(layer))
        return ConvolutionGeometry(layer.kernel_size, layer.stride, layer.dilation, padding)

    def compiled_gradient(
        self,
        layer: nn.Module,
        inputs: Tensor,
        relu: Tensor,
        pooled: Maxima | Windows,
        cotangents: Tensor,
    ) -> ParameterGradient:
        """The gradients of weight and bias, computed for some output channels at a time."""
        bias = "bias" if "bias" in self.covers(layer) else None
        shape = cast(Convolution, layer).weight.shape
        where = inputs, relu, pooled
        whole = GradientsOfRows(*where, cotangents, bias=bias is not None)

        def combine(weights: Tensor) -> Tensor:
            some = combine_outputs(cotangents, weights)[:, None]
            one = GradientsOfRows(*where, some, bias=bias is not None)
            return one.compute(slice(0, shape[0]))[0][:, :, 0].sum(0)

        width, numbers = shape[1:].numel(), whole.row_numbers
        # No more than the cotangents at all positions, which are not made.
        spared = width < relu.shape[2] and numbers * shape[0] <= PORTION_NUMBERS
        return RowwiseGradient(
            "weight",
            bias,
            whole.compute,
            combine,
            shape[0],
            numbers,
            width,
            partial(weight_from_rows, shape=shape),
            spared,
        )


def _by_channel(cotangents: Tensor) -> Tensor:
    """Pooled cotangents (n, C, O, P) to (n, C, O, 1, P)."""
    return cotangents.unsqueeze(3)


def _unchanged(factors: Tensor) -> Tensor:
    """Right factors as they are."""
    return factors


def _left(cotangents: Tensor, groups: int) -> Tensor:
    """Cotangents (n, C, O, ...) to (n, C, groups, O/groups, T)."""
    n, C, channels = cotangents.shape[:3]
    return cotangents.reshape(n, C, groups, channels // groups, -1)


def _right(inputs: Tensor, layer: Convolution) -> Tensor:
    """Inputs (n, c, ...) to patches (n, groups, c/groups x taps, T)."""
    padded = pad(inputs, _margins(layer), layer.padding_mode)
    steps = layer.kernel_size, layer.stride, layer.dilation
    if inputs.ndim == 4:
        return patch_rows(padded, *steps, layer.groups).mT
    found = patches(padded, *steps)
    return found.view(found.shape[0], layer.groups, -1, found.shape[-1])


def _margins(layer: Convolution) -> list[tuple[int, int]]:
    """The padding before and after each axis; 'same' puts an odd one after, as torch does."""
    if layer.padding == "valid":
        return [(0, 0)] * len(layer.kernel_size)
    if layer.padding == "same":
        totals = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
        return [(total // 2, total - total // 2) for total in totals]
    return [(int(p), int(p)) for p in layer.padding]
