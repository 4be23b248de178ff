"""Factors at a layer's positions to factors behind its ReLU and pooling, channel by channel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hybridonn.tangent.contraction import chunks

# Some samples at a time: what is gathered stays near the cores' own caches (1 to 2 MB each), and
# there are few calls.
_CACHE_NUMBERS = 1e6

Rows = Callable[[slice], Tensor]


@dataclass(frozen=True)
class Maximum:
    """A maximum pooling.

    Attributes:
        index: the position that each pooled position takes, (n, O, P).
    """

    index: Tensor

    def carry(self, rows: Rows, relu: Tensor) -> Tensor:
        """The rows of the maxima, none where the ReLU is shut.

        Args:
            rows: makes the factors (n, B, T, k) of some samples, B blocks of channels sharing them.
            relu: what the ReLU gave, (n, O, T); it is open where that is positive.

        Returns:
            The pooled factors (n, O, P, k).
        """
        one = rows(slice(0, 1))
        k = one.shape[-1]
        open_ = relu.gather(2, self.index).sign()[..., None]
        parts = _portions(len(relu), self.index[0].numel() * k)
        if one.requires_grad:
            return _joined([self._taken(rows(p), p) * open_[p] for p in parts])
        found = relu.new_empty(*self.index.shape, k)
        for p in parts:  # in place, which autograd would not allow
            self._taken(rows(p), p, found[p]).mul_(open_[p])
        return found

    def _taken(self, rows: Tensor, part: slice, into: Tensor | None = None) -> Tensor:
        """The rows (n, B, T, k) at each channel's maxima, (n, O, P, k)."""
        n, B, T, k = rows.shape
        first = torch.arange(n * B, device=rows.device).view(n, B, 1) * T
        places = (self.index[part].reshape(n, B, -1) + first).flatten()
        flat = None if into is None else into.view(-1, k)
        found = torch.index_select(rows.reshape(-1, k), 0, places, out=flat)
        return found.view(n, *self.index.shape[1:], k) if into is None else into


@dataclass(frozen=True)
class Average:
    """An average pooling.

    Attributes:
        position: the positions of each window, (P, Q); short windows are filled.
        weight: their weights; zero for what fills.
        pool: the pooling itself, (n, channels, T) to (n, channels, ...).
    """

    position: Tensor
    weight: Tensor
    pool: Callable[[Tensor], Tensor]

    def carry(self, rows: Rows, relu: Tensor) -> Tensor:
        """The rows' averages over windows, as far as the ReLU is open.

        Args:
            rows: makes the factors (n, B, T, k) of some samples, B blocks of channels sharing them.
            relu: what the ReLU gave, (n, O, T); it is open where that is positive.

        Returns:
            The pooled factors (n, O, P, k).
        """
        mask = relu.sign()
        n, channels, T = mask.shape
        one = rows(slice(0, 1))
        B, k = one.shape[1], one.shape[3]
        if k == 1 or channels == B:  # nothing that channels could share
            parts = _portions(n, channels * T * k)
            return _joined([self._pooled(rows(part), mask[part]) for part in parts])
        mask = mask.transpose(1, 2).contiguous()
        shares = self.weight.to(mask).flatten()[:, None].expand(-1, channels).contiguous()
        parts = _portions(n, self.position.numel() * B * k)
        if one.requires_grad:
            return _joined([self._averaged(rows(p), mask[p], shares) for p in parts])
        found = mask.new_empty(n, channels, len(self.position), k)
        for p in parts:  # in place, which autograd would not allow
            found[p] = self._averaged(rows(p), mask[p], shares)
        return found

    def _pooled(self, rows: Tensor, mask: Tensor) -> Tensor:
        """The pooling of every masked number, for factors that channels do not share."""
        n, B, T, k = rows.shape
        masked = mask.view(n, B, -1, 1, T) * rows.transpose(2, 3).unsqueeze(2)
        found = self.pool(masked.reshape(n, -1, T)).reshape(*mask.shape[:2], k, -1)
        return found.transpose(2, 3)

    def _averaged(self, rows: Tensor, mask: Tensor, shares: Tensor) -> Tensor:
        """A product of each window's shares and rows, for factors that channels share."""
        n, B, _, k = rows.shape
        P, Q = self.position.shape
        places = self.position.flatten()
        open_ = (mask.index_select(1, places) * shares).view(n, P, Q, B, -1)
        near = rows.flatten(0, 1).index_select(1, places).view(-1, Q, k)
        found = torch.bmm(open_.permute(0, 3, 1, 4, 2).flatten(0, 2), near)
        return found.view(n, B, P, -1, k).transpose(2, 3).flatten(1, 2)


def _portions(n: int, numbers: int) -> list[slice]:
    """Slices of n samples, of so many numbers each, that fit a cache and are of like size."""
    return list(chunks(n, _CACHE_NUMBERS / numbers))


def _joined(parts: list[Tensor]) -> Tensor:
    """The portions as one."""
    return parts[0] if len(parts) == 1 else torch.cat(parts)
