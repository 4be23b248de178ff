"""Cotangents of all samples and outputs, kept as a product of two factors as long as possible.

What depends on the samples alone (where a ReLU lets gradients through, which position was the
maximum) is kept apart from what depends on the outputs alone until an operation mixes positions:
behind a dense layer, the cotangents are the same for all samples up to those gates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch.nn.functional as F
from torch import Tensor

from hybridonn.tangent.empirical.pooling import AveragePooling, MaximumPooling


@dataclass(frozen=True)
class GatedCotangent:
    """How combinations of the outputs change with a place of the graph: values times gate.

    Attributes:
        values: (n, C, ...), or (1, C, ...) where all samples share them.
        gate: zeros and ones (n, ...); None: ones.
        pooling: the pooling that gave what the values (.., O, P, Q) belong to, and at whose maxima
            the gate lies; that of an average lies at all positions. None: all positions.
    """

    values: Tensor
    gate: Tensor | None = None
    pooling: MaximumPooling | AveragePooling | None = None

    def product(self) -> Tensor:
        """The numbers themselves, (n or 1, C, ...), at all positions."""
        if self.pooling is not None:
            return self.at_all_positions().product()
        return self.values if self.gate is None else self.values * self.gate.unsqueeze(1)

    def at_all_positions(self) -> GatedCotangent:
        """The same cotangent, not bound to a pooling."""
        match self.pooling:
            case MaximumPooling() as pooling:
                return _spread(self, pooling)
            case AveragePooling() as pooling:
                return GatedCotangent(pooling.transposed(self.values), self.gate)
        return self

    def __add__(self, other: GatedCotangent) -> GatedCotangent:
        """The sum of what comes by two ways."""
        return GatedCotangent(self.product() + other.product())


def _spread(cotangent: GatedCotangent, pooling: MaximumPooling) -> GatedCotangent:
    """What belongs to maxima, at the positions where they lie."""
    index, size = pooling.index, pooling.tile
    plain = replace(cotangent, pooling=None)
    if size is None:
        value = plain.product().expand(len(index), *cotangent.values.shape[1:]).flatten(3)
        places = index[:, None].expand_as(value)
        empty = value.new_zeros(*value.shape[:3], pooling.shape.numel())
        return GatedCotangent(empty.scatter_add(3, places, value).unflatten(3, pooling.shape))
    first = cotangent.values.new_zeros(*index.shape[:2], pooling.shape.numel())
    gate = first.scatter_(2, index, 1).unflatten(2, pooling.shape)
    if cotangent.gate is not None:
        gate = gate * _repeat(cotangent.gate, size, pooling.shape)
    return GatedCotangent(_repeat(cotangent.values, size, pooling.shape), gate)


def _repeat(pooled: Tensor, size: Sequence[int], shape: Sequence[int]) -> Tensor:
    """Pooled numbers at every position of their windows (..., H, W); zeros beyond the windows."""
    P, Q = pooled.shape[-2:]
    found = pooled[..., :, None, :, None].expand(*pooled.shape[:-2], P, size[0], Q, size[1])
    found = found.reshape(*pooled.shape[:-2], P * size[0], Q * size[1])
    rest = shape[0] - P * size[0], shape[1] - Q * size[1]
    return F.pad(found, (0, rest[1], 0, rest[0])) if any(rest) else found
