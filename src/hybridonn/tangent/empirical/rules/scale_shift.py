"""Layers that scale and shift: ``z = a_hat scale + shift``, per channel or per feature."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hybridonn.tangent.empirical.gradient_factors import (
    ExplicitGradient,
    LayerCall,
    ParameterGradient,
)
from hybridonn.tangent.empirical.rules.base import sum_over_calls, trainable
from hybridonn.tangent.empirical.rules.pooled import PooledRule


class ScaleShiftRule(PooledRule):
    """``df/dscale = sum_t g_t a_hat_t`` and ``df/dshift = sum_t g_t``, t over positions.

    It fits any module that adds a parameter per channel, multiplies by one, or both:
    ``register_rule(ChannelBias, ScaleShiftRule(shift="bias"))``.

    Args:
        scale: the name of the factor, or None.
        shift: the name of the addend, or None.
        trailing: parameters lie on the last axes (layer norm) rather than on axis 1.
    """

    name = "scale and shift"

    def __init__(
        self,
        scale: str | None = None,
        shift: str | None = None,
        *,
        trailing: bool = False,
    ):
        self.scale, self.shift, self.trailing = scale, shift, trailing

    def covers(self, layer: nn.Module) -> tuple[str, ...]:
        """Scale and shift, as far as they are trainable."""
        return trainable(layer, *(name for name in (self.scale, self.shift) if name))

    def fits(self, layer: nn.Module, inputs: Tensor, output: Tensor) -> bool:
        """The layer keeps its input's shape, and its parameters have its channels' size."""
        sizes = {getattr(layer, name).numel() for name in self.covers(layer)}
        return inputs.shape == output.shape and sizes == {self._width(layer, inputs)}

    def normalised(self, layer: nn.Module, inputs: Tensor) -> Tensor:
        """What the scale multiplies, in the inputs' shape."""
        return inputs

    def gradients(self, layer: nn.Module, calls: Sequence[LayerCall]) -> list[ParameterGradient]:
        """An explicit gradient of each parameter."""
        names = self.covers(layer)
        found: list[ParameterGradient] = []
        for name, gradient in ((self.scale, self._scale), (self.shift, self._shift)):
            if name in names:
                values = sum_over_calls([gradient(layer, call) for call in calls])
                found.append(ExplicitGradient(name, values))
        return found

    def factor_width(self, layer: nn.Module) -> int:
        """One number for each parameter of a channel."""
        return 0 if self.trailing else len(self.covers(layer))

    def position_factors(self, layer: nn.Module, inputs: Tensor) -> Tensor:
        """What the scale multiplies, then a one for the shift, (n, B, T, k)."""
        names = self.covers(layer)
        if self.scale not in names:  # all channels share the ones
            return inputs.new_ones(len(inputs), 1, inputs[0, 0].numel(), 1)
        columns = [self.normalised(layer, inputs).flatten(2)]
        if self.shift in names:
            columns.append(torch.ones_like(columns[0]))
        return torch.stack(columns, -1)

    def pooled_gradients(
        self, layer: nn.Module, factors: Tensor, cotangents: Tensor
    ) -> list[ParameterGradient]:
        """An explicit gradient of each parameter."""
        factors = factors.permute(2, 0, 1, 3).unsqueeze(2)  # (k, n, 1, O, P)
        values = (cotangents.flatten(3) * factors).sum(-1)
        names = [name for name in (self.scale, self.shift) if name in self.covers(layer)]
        return [ExplicitGradient(name, value) for name, value in zip(names, values, strict=True)]

    def _scale(self, layer: nn.Module, call: LayerCall) -> Tensor:
        """``sum_t g_t a_hat_t``, (n, C, p)."""
        normalised = self.normalised(layer, call.inputs)
        if self.trailing:
            product = call.cotangents * normalised.unsqueeze(1)
            return product.reshape(*product.shape[:2], -1, self._width(layer, call.inputs)).sum(2)
        values = self._split(layer, normalised, call.inputs, 0)
        cotangents = self._split(layer, call.cotangents, call.inputs, 1)
        return torch.einsum("icpt,ipt->icp", cotangents, values)

    def _shift(self, layer: nn.Module, call: LayerCall) -> Tensor:
        """``sum_t g_t``, (n, C, p)."""
        return self._split(layer, call.cotangents, call.inputs, 1).sum(-1)

    def _split(self, layer: nn.Module, tensor: Tensor, inputs: Tensor, outputs: int) -> Tensor:
        """(n, [C,] ...) to (n, [C,] p, T)."""
        lead = tensor.shape[: 1 + outputs]
        p = self._width(layer, inputs)
        if self.trailing:
            return tensor.reshape(*lead, -1, p).transpose(-1, -2)
        return tensor.reshape(*lead, p, -1)

    def _width(self, layer: nn.Module, inputs: Tensor) -> int:
        """The number of parameters p of one kind."""
        if not self.trailing:
            return inputs.shape[1] if inputs.ndim > 1 else 0
        return int(getattr(layer, self.covers(layer)[0]).numel())
