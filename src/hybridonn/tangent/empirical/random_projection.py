"""Random projections of per-sample gradients that never form the gradients.

A factored gradient's matrices ``M_ic = L_ic R_i^T`` are compressed from both sides with random
signs, ``P^T M_ic S``, by compressing the factors; what remains is folded: multiplied with random
signs and added up in as many numbers as the features are wide. Every step keeps inner products in
expectation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from hybridonn.tangent.empirical.gradient_factors import (
    ExplicitGradient,
    FactoredGradient,
)
from hybridonn.tangent.empirical.precision import at_least_single


@dataclass
class Projection:
    """The projection of one layer's gradient; one seed gives the same one for every batch.

    Attributes:
        seed: seed of its random signs.
        width: width of the features.
        side: the most rows and columns that are left of a gradient matrix.
        like: a tensor of the features' type and device.
    """

    seed: int
    width: int
    side: int
    like: Tensor

    @cached_property
    def _generator(self) -> torch.Generator:
        """The source of the random signs."""
        return torch.Generator().manual_seed(self.seed)

    @cached_property
    def _signs(self) -> dict[str, Tensor]:
        """The random signs that were drawn, by what they are for."""
        return {}

    def features(self, gradient: FactoredGradient | ExplicitGradient) -> Tensor:
        """The gradient's part of the features, (n, width)."""
        if isinstance(gradient, ExplicitGradient):
            return self._fold("vector", at_least_single(gradient.values).flatten(1))
        left, right = gradient.lefts(), gradient.rights()
        n, C, B, o, T = left.shape
        found = 0
        if gradient.bias is not None:
            found = self._fold("bias", left.sum(-1).flatten(1))
        right = self._compress("right", right)
        left = left.transpose(1, 2)
        if o * C < T:  # the product first is cheaper than compressing a long left factor
            return found + self._fold("weight", self._rows(_product(left, right), C, o))
        left = self._compress("left", left.reshape(n, B * C, o, T)).view(n, B, C, -1, T)
        return found + self._fold("weight", _product(left, right).flatten(1))

    def _rows(self, product: Tensor, C: int, o: int) -> Tensor:
        """Compress the rows of (n, B, C o, s)."""
        n, B, _, s = product.shape
        return self._compress("left", product.view(n, B * C, o, s)).flatten(1)

    def _compress(self, name: str, factor: Tensor) -> Tensor:
        """Compress the second-last axis of (n, B, k, T) with random signs, if it is long."""
        k = factor.shape[-2]
        if k <= self.side:
            return factor
        signs = self._drawn(name, (self.side, k)) / self.side**0.5
        return signs @ factor

    def _fold(self, name: str, values: Tensor) -> Tensor:
        """Random signs, then sums of every width-th number: (n, D) to (n, width)."""
        n, D = values.shape
        rows = -(-D // self.width)
        signs = self._drawn(f"fold {name}", (rows * self.width,))[:D]
        signed = torch.nn.functional.pad(values * signs, (0, rows * self.width - D))
        return signed.view(n, rows, self.width).sum(1)

    def _drawn(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Random signs, drawn once."""
        if name not in self._signs:
            bits = torch.randint(0, 2, shape, generator=self._generator)
            self._signs[name] = (2 * bits - 1).to(self.like)
        return self._signs[name]


def _product(left: Tensor, right: Tensor) -> Tensor:
    """(n, B, C, o, T) and (n, B, s, T) to (n, B, C o, s)."""
    return left.flatten(2, 3) @ right.transpose(-1, -2)
