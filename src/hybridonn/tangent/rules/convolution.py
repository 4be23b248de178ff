"""Convolutions of one to three dimensions, with every option of torch's."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from hybridonn.tangent.compiled import Maxima, Window, gradients_at_maxima
from hybridonn.tangent.pieces import Call, Made, Piece, Product, Vector
from hybridonn.tangent.rules.base import Rule, trainable
from hybridonn.tangent.rules.dense import sum_calls
from hybridonn.tangent.rules.patches import pad, patch_rows, patches, weight_of


class ConvolutionRule(Rule):
    """``df/dW = sum_t g_t u_t^T`` with u_t the patch of position t, group by group."""

    name = "convolution"

    def covers(self, layer: nn.Module) -> tuple[str, ...]:
        """Weight and bias, as far as they are trainable."""
        return trainable(layer, "weight", "bias")

    def fits(self, layer: nn.Module, inputs: Tensor, output: Tensor) -> bool:
        """Samples, channels, then as many axes as the kernel has."""
        return inputs.ndim == 2 + len(cast(_ConvNd, layer).kernel_size)

    def pieces(self, layer: nn.Module, calls: Sequence[Call]) -> list[Piece]:
        """One product for the weight (and bias), or a vector for the bias alone."""
        layer = cast(_ConvNd, layer)
        names = self.covers(layer)
        if "weight" not in names:
            return [Vector("bias", sum_calls([c.gradients.flatten(3).sum(-1) for c in calls]))]
        bias = "bias" if "bias" in names else None
        left = partial(_left, groups=layer.groups)
        right = partial(_right, layer=layer)
        shape = layer.weight.shape
        restore = partial(weight_of if len(shape) == 4 else Tensor.reshape, shape=shape)
        return [Product(tuple(calls), left, right, "weight", bias, restore)]

    def row_width(self, layer: nn.Module) -> int:
        """The taps of a patch, and one for the bias; two dimensions only."""
        layer = cast(_ConvNd, layer)
        if len(layer.kernel_size) != 2 or "weight" not in self.covers(layer):
            return 0
        return layer.weight[0].numel() + ("bias" in self.covers(layer))

    def rows(self, layer: nn.Module, inputs: Tensor) -> Tensor:
        """The patch of each position (n, groups, T, c/groups x taps), then a one for the bias."""
        layer = cast(_ConvNd, layer)
        padded = pad(inputs, _margins(layer), layer.padding_mode)
        found = patch_rows(padded, layer.kernel_size, layer.stride, layer.dilation, layer.groups)
        return F.pad(found, (0, 1), value=1.0) if "bias" in self.covers(layer) else found

    def pooled_pieces(self, layer: nn.Module, factors: Tensor, gradients: Tensor) -> list[Piece]:
        """One product for weight and bias, each channel a block."""
        shape = cast(_ConvNd, layer).weight.shape
        call = Call(factors, gradients.flatten(3))
        return [
            Product(
                (call,),
                _by_channel,
                _as_is,
                "weight",
                "bias" if "bias" in self.covers(layer) else None,
                partial(weight_of, shape=shape),
                own_row=True,
            )
        ]

    def window(self, layer: nn.Module) -> Window | None:
        """Its geometry, for two dimensions without groups and a padding of zeros."""
        layer = cast(_ConvNd, layer)
        if self.row_width(layer) == 0 or layer.groups > 1 or layer.padding_mode != "zeros":
            return None
        before = tuple(margin[0] for margin in _margins(layer))
        return Window(layer.kernel_size, layer.stride, layer.dilation, before)

    def piece_at_maxima(
        self, layer: nn.Module, inputs: Tensor, relu: Tensor, where: Maxima, gradients: Tensor
    ) -> Piece:
        """The gradients of weight and bias, made for some output channels at a time."""
        bias = "bias" if "bias" in self.covers(layer) else None
        make, numbers = gradients_at_maxima(inputs, relu, where, gradients, bias=bias is not None)
        shape = cast(_ConvNd, layer).weight.shape
        restore = partial(weight_of, shape=shape)
        return Made("weight", bias, make, shape[0], numbers, shape[1:].numel(), restore)


def _by_channel(gradients: Tensor) -> Tensor:
    """Pooled gradients (n, C, O, P) to (n, C, O, 1, P)."""
    return gradients.unsqueeze(3)


def _as_is(factors: Tensor) -> Tensor:
    """Right factors that are ready."""
    return factors


def _left(gradients: Tensor, groups: int) -> Tensor:
    """Output gradients (n, C, O, ...) to (n, C, groups, O/groups, T)."""
    n, C, channels = gradients.shape[:3]
    return gradients.reshape(n, C, groups, channels // groups, -1)


def _right(inputs: Tensor, layer: _ConvNd) -> Tensor:
    """Inputs (n, c, ...) to patches (n, groups, c/groups x taps, T)."""
    padded = pad(inputs, _margins(layer), layer.padding_mode)
    steps = layer.kernel_size, layer.stride, layer.dilation
    if inputs.ndim == 4:
        return patch_rows(padded, *steps, layer.groups).mT
    found = patches(padded, *steps)
    return found.view(found.shape[0], layer.groups, -1, found.shape[-1])


def _margins(layer: _ConvNd) -> list[tuple[int, int]]:
    """The padding before and after each axis; 'same' puts an odd one after, as torch does."""
    if layer.padding == "valid":
        return [(0, 0)] * len(layer.kernel_size)
    if layer.padding == "same":
        totals = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
        return [(total // 2, total - total // 2) for total in totals]
    return [(int(p), int(p)) for p in layer.padding]
