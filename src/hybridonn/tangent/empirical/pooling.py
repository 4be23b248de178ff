"""Poolings as they were run: read from autograd's graph, transposed, and applied to factors.

A maximum pooling takes one position of each window. An average pooling is a linear map along
each axis, ``p = A_h z A_w^T``, whatever its strides, its padding or its adaptive windows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.graph import Node

from hybridonn.tangent.empirical.graph import argument_shape
from hybridonn.tangent.empirical.portions import chunks
from hybridonn.tangent.empirical.torch_internals import result_shape, saved, saved_sizes

# Numbers gathered at a time: what is gathered stays near the cores' own caches (1 to 2 MB each),
# and there are few calls.
CACHE_NUMBERS = 1e6

# Maps a slice of samples to their factors (n, B, T, k).
Factors = Callable[[slice], Tensor]


@dataclass(frozen=True)
class MaximumPooling:
    """A maximum pooling.

    Attributes:
        index: the position that each pooled position takes, (n, O, P).
        shape: the shape of what is pooled, (H, W).
        tile: the size of the windows if they lie side by side, else None.
    """

    index: Tensor
    shape: torch.Size
    tile: Sequence[int] | None = None

    def pool_factors(self, factors: Factors, relu: Tensor) -> Tensor:
        """The factors at the maxima, zero where the ReLU lets nothing through.

        Args:
            factors: makes the factors (n, B, T, k) of some samples, which B blocks of channels
                share.
            relu: the result of the ReLU, (n, O, T), which lets gradients through where positive.

        Returns:
            The pooled factors (n, O, P, k).
        """
        one = factors(slice(0, 1))
        k = one.shape[-1]
        mask = relu.gather(2, self.index).sign()[..., None]
        parts = _portions(len(relu), self.index[0].numel() * k)
        if one.requires_grad:
            return _joined([self._gather(factors(p), p) * mask[p] for p in parts])
        found = relu.new_empty(*self.index.shape, k)
        for p in parts:  # in place, which autograd would not allow
            self._gather(factors(p), p, found[p]).mul_(mask[p])
        return found

    def _gather(self, factors: Tensor, part: slice, into: Tensor | None = None) -> Tensor:
        """The factors (n, B, T, k) at each channel's maxima, (n, O, P, k)."""
        n, B, T, k = factors.shape
        first = torch.arange(n * B, device=factors.device).view(n, B, 1) * T
        positions = (self.index[part].reshape(n, B, -1) + first).flatten()
        flat = None if into is None else into.view(-1, k)
        found = torch.index_select(factors.reshape(-1, k), 0, positions, out=flat)
        return found.view(n, *self.index.shape[1:], k) if into is None else into


@dataclass(frozen=True)
class AveragePooling:
    """An average pooling.

    Attributes:
        height: A_h, the averages along the first axis, (P_h, H) float64.
        width: A_w, the averages along the second axis, (P_w, W) float64.
        pool: the pooling itself, (n, channels, H, W) to (n, channels, P_h, P_w).
    """

    height: Tensor
    width: Tensor
    pool: Callable[[Tensor], Tensor]

    def transposed(self, cotangents: Tensor) -> Tensor:
        """Pooled cotangents g (..., P_h, P_w) at the positions before, ``A_h^T g A_w``."""
        wide = cotangents @ self.width.to(cotangents)
        return (wide.mT @ self.height.to(cotangents)).mT

    def pool_factors(self, factors: Factors, relu: Tensor) -> Tensor:
        """The averages of the factors over windows, as far as the ReLU lets gradients through.

        Args:
            factors: makes the factors (n, B, T, k) of some samples, which B blocks of channels
                share.
            relu: the result of the ReLU, (n, O, T), which lets gradients through where positive.

        Returns:
            The pooled factors (n, O, P, k).
        """
        mask = relu.sign()
        n, channels, T = mask.shape
        one = factors(slice(0, 1))
        B, k = one.shape[1], one.shape[3]
        if k == 1 or channels == B:  # nothing that channels could share
            parts = _portions(n, channels * T * k)
            return _joined([self._pool_masked(factors(part), mask[part]) for part in parts])
        position, weight = self._windows()
        mask = mask.transpose(1, 2).contiguous()
        weight = weight.to(mask).flatten()[:, None].expand(-1, channels).contiguous()
        average = partial(_average_windows, position=position, weight=weight)
        parts = _portions(n, position.numel() * B * k)
        if one.requires_grad:
            return _joined([average(factors(p), mask[p]) for p in parts])
        found = mask.new_empty(n, channels, len(position), k)
        for p in parts:  # in place, which autograd would not allow
            found[p] = average(factors(p), mask[p])
        return found

    @cached_property
    def windows(self) -> tuple[Tensor, Tensor]:
        """The positions (P, Q) of each window, -1 in short ones, and their weight (P)."""
        position, weight = self._windows()
        largest = weight.amax(1)
        return torch.where(weight > 0, position, -1), largest

    @property
    def tiles(self) -> bool:
        """Whether windows do not overlap."""
        return bool((self.height > 0).sum(0).max() <= 1 and (self.width > 0).sum(0).max() <= 1)

    def _windows(self) -> tuple[Tensor, Tensor]:
        """The positions of each window and their weights, (P, Q); short windows have zeros."""
        (rows, down), (columns, across) = _axis_windows(self.height), _axis_windows(self.width)
        count = len(rows) * len(columns)
        position = rows[:, None, :, None] * self.width.shape[1] + columns[None, :, None, :]
        weight = down[:, None, :, None] * across[None, :, None, :]
        return position.reshape(count, -1), weight.reshape(count, -1)

    def _pool_masked(self, factors: Tensor, mask: Tensor) -> Tensor:
        """The pooling of every masked number, for factors that channels do not share."""
        n, B, T, k = factors.shape
        masked = mask.view(n, B, -1, 1, T) * factors.transpose(2, 3).unsqueeze(2)
        shape = self.height.shape[1], self.width.shape[1]
        found = self.pool(masked.reshape(n, -1, *shape)).reshape(*mask.shape[:2], k, -1)
        return found.transpose(2, 3)


def read_pooling(node: Node) -> MaximumPooling | AveragePooling | None:
    """The pooling that an operation of autograd's graph is; None where it is none of images."""
    reader = _READERS.get(node.name())
    return reader(node) if reader and len(argument_shape(node, 0)) == 4 else None


def _read_maximum(node: Node) -> MaximumPooling:
    """A maximum pooling with windows of one size."""
    size, stride = (saved_sizes(node, name, 2) for name in ("kernel_size", "stride"))
    plain = not any(saved(node, "padding")) and all(d == 1 for d in saved(node, "dilation"))
    side_by_side = plain and size == (stride or size)
    index, shape = saved(node, "result1").flatten(2), argument_shape(node, 0)[2:]
    return MaximumPooling(index, shape, list(size) if side_by_side else None)


def _read_adaptive_maximum(node: Node) -> MaximumPooling:
    """A maximum pooling to a given number of windows."""
    return MaximumPooling(saved(node, "result1").flatten(2), argument_shape(node, 0)[2:])


def _read_average(node: Node) -> AveragePooling | None:
    """An average pooling with windows of one size; none with a divisor of its own."""
    if saved(node, "divisor_override") is not None:
        return None
    size, padding, stride = (
        saved_sizes(node, name, 2) for name in ("kernel_size", "padding", "stride")
    )
    stride = stride or size
    more = saved(node, "ceil_mode"), saved(node, "count_include_pad")
    height, width = (
        F.avg_pool1d(_unit_vectors(length, node), q, s, p, *more)[0].T
        for length, q, s, p in zip(argument_shape(node, 0)[2:], size, stride, padding, strict=True)
    )
    return AveragePooling(height, width, lambda z: F.avg_pool2d(z, size, stride, padding, *more))


def _read_adaptive_average(node: Node) -> AveragePooling:
    """An average pooling to a given number of windows."""
    shape = result_shape(node)[2], result_shape(node)[3]
    height, width = (
        F.adaptive_avg_pool1d(_unit_vectors(length, node), count)[0].T
        for length, count in zip(argument_shape(node, 0)[2:], shape, strict=True)
    )
    return AveragePooling(height, width, lambda z: F.adaptive_avg_pool2d(z, shape))


def _unit_vectors(length: int, node: Node) -> Tensor:
    """The unit vectors of an axis, (1, length, length) float64, on the operation's device."""
    return torch.eye(length, dtype=torch.float64, device=saved(node, "self").device)[None]


def _axis_windows(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Positions and weights (P, q) of windows whose averages are the rows of a matrix (P, T)."""
    inside = matrix > 0
    size = int(inside.sum(1).max())
    start = inside.int().argmax(1).clamp(max=matrix.shape[1] - size)
    position = start[:, None] + torch.arange(size, device=matrix.device)
    return position, matrix.gather(1, position)


def _average_windows(factors: Tensor, mask: Tensor, *, position: Tensor, weight: Tensor) -> Tensor:
    """A product of each window's masked weights and factors, for factors that channels share."""
    n, B, _, k = factors.shape
    P, Q = position.shape
    positions = position.flatten()
    weights = (mask.index_select(1, positions) * weight).view(n, P, Q, B, -1)
    near = factors.flatten(0, 1).index_select(1, positions).view(-1, Q, k)
    found = torch.bmm(weights.permute(0, 3, 1, 4, 2).flatten(0, 2), near)
    return found.view(n, B, P, -1, k).transpose(2, 3).flatten(1, 2)


def _portions(n: int, numbers: int) -> list[slice]:
    """Slices of n samples, of so many numbers each, that fit a cache and are of like size."""
    return list(chunks(n, CACHE_NUMBERS / numbers))


def _joined(parts: list[Tensor]) -> Tensor:
    """The portions as one."""
    return parts[0] if len(parts) == 1 else torch.cat(parts)


_READERS: dict[str, Callable[[Node], MaximumPooling | AveragePooling | None]] = {
    "MaxPool2DWithIndicesBackward0": _read_maximum,
    "AdaptiveMaxPool2DBackward0": _read_adaptive_maximum,
    "AvgPool2DBackward0": _read_average,
    "AdaptiveAvgPool2DBackward0": _read_adaptive_average,
}
