"""Layers that scale and shift: ``z = a_hat scale + shift``, per channel or per feature."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hybridonn.tangent.pieces import Call, Piece, Vector
from hybridonn.tangent.rules.base import Rule, trainable
from hybridonn.tangent.rules.dense import sum_calls


class ScaleShiftRule(Rule):
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

    def pieces(self, layer: nn.Module, calls: Sequence[Call]) -> list[Piece]:
        """A vector for each parameter."""
        names = self.covers(layer)
        found: list[Piece] = []
        if self.scale in names:
            found.append(Vector(self.scale, sum_calls([self._scale(layer, c) for c in calls])))
        if self.shift in names:
            found.append(Vector(self.shift, sum_calls([self._shift(layer, c) for c in calls])))
        return found

    def row_width(self, layer: nn.Module) -> int:
        """One number for each parameter of a channel."""
        return 0 if self.trailing else len(self.covers(layer))

    def rows(self, layer: nn.Module, inputs: Tensor) -> Tensor:
        """What the scale multiplies, then a one for the shift, (n, B, T, k)."""
        names = self.covers(layer)
        if self.scale not in names:  # all channels share the ones
            return inputs.new_ones(len(inputs), 1, inputs[0, 0].numel(), 1)
        columns = [self.normalised(layer, inputs).flatten(2)]
        if self.shift in names:
            columns.append(torch.ones_like(columns[0]))
        return torch.stack(columns, -1)

    def pooled_pieces(self, layer: nn.Module, factors: Tensor, gradients: Tensor) -> list[Piece]:
        """A vector for each parameter."""
        factors = factors.permute(2, 0, 1, 3).unsqueeze(2)  # (k, n, 1, O, P)
        values = (gradients.flatten(3) * factors).sum(-1)
        names = [name for name in (self.scale, self.shift) if name in self.covers(layer)]
        return [Vector(name, value) for name, value in zip(names, values, strict=True)]

    def _scale(self, layer: nn.Module, call: Call) -> Tensor:
        """``sum_t g_t a_hat_t``, (n, C, p)."""
        values = self._split(layer, self.normalised(layer, call.inputs), call.inputs, 0)
        gradients = self._split(layer, call.gradients, call.inputs, 1)
        return torch.einsum("icpt,ipt->icp", gradients, values)

    def _shift(self, layer: nn.Module, call: Call) -> Tensor:
        """``sum_t g_t``, (n, C, p)."""
        return self._split(layer, call.gradients, call.inputs, 1).sum(-1)

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
