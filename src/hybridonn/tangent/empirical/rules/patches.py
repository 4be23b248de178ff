"""The patches that a convolution multiplies its kernel with, for one to three dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch.nn.functional as F
from torch import Tensor

# From this many neighbouring numbers on, copying them once where they lie beats sorting first.
_RUN = 24


def pad(inputs: Tensor, margins: Sequence[tuple[int, int]], mode: str = "zeros") -> Tensor:
    """Pad each spatial axis of (n, c, ...) by (before, after)."""
    flat = [edge for margin in reversed(margins) for edge in margin]
    if not any(flat):
        return inputs
    return F.pad(inputs, flat, mode="constant" if mode == "zeros" else mode)


def patches(
    inputs: Tensor, size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Tensor:
    """All patches of padded inputs.

    Args:
        inputs: padded inputs (n, c, ...), one to three spatial axes.
        size: the kernel's size per axis.
        stride: its steps per axis.
        dilation: the distance of its taps per axis.

    Returns:
        Patches (n, c prod(size), T), taps varying fastest after channels as in a weight,
        positions in row-major order.
    """
    if len(size) == 3:
        return _strided(inputs, size, stride, dilation)
    if len(size) == 1:
        inputs, size, stride, dilation = (
            inputs[:, :, None],
            (1, *size),
            (1, *stride),
            (1, *dilation),
        )
    return F.unfold(inputs, tuple(size), dilation=tuple(dilation), stride=tuple(stride))


def patch_rows(
    inputs: Tensor, size: Sequence[int], stride: Sequence[int], dilation: Sequence[int], groups: int
) -> Tensor:
    """All patches of padded inputs of two dimensions, one row for each position.

    Args:
        inputs: padded inputs (n, c, H, W).
        size: the kernel's size per axis.
        stride: its steps per axis.
        dilation: the distance of its taps per axis.
        groups: channels are divided into as many blocks.

    Returns:
        Patches (n, groups, T, taps x c/groups), channels varying fastest.
    """
    reach, across = (d * (k - 1) + 1 for k, d in zip(size, dilation, strict=True))
    last = inputs.unflatten(1, (groups, -1)).permute(0, 1, 3, 4, 2).contiguous()
    columns = last.unfold(3, across, stride[1])[..., :: dilation[1]]  # (n, g, H, W, c, taps)
    if columns.shape[-1] * columns.shape[-2] < _RUN:
        # Columns first, so that all rows of a patch then lie together and are copied as one.
        strips = columns.permute(0, 1, 3, 2, 5, 4).contiguous()  # (n, g, W, H, taps, c)
        found = strips.unfold(3, reach, stride[0])[..., :: dilation[0]]
        found = found.permute(0, 1, 3, 2, 6, 4, 5)
    else:
        found = columns.unfold(2, reach, stride[0])[..., :: dilation[0]]
        found = found.permute(0, 1, 2, 3, 6, 5, 4)  # (n, g, H, W, taps, taps, c)
    return found.flatten(4).flatten(2, 3)


def weight_from_rows(matrix: Tensor, shape: Sequence[int]) -> Tensor:
    """The weight (o, c/groups, taps, taps) from rows (o, taps x c/groups) as of `patch_rows`."""
    return matrix.reshape(shape[0], *shape[2:], shape[1]).movedim(-1, 1)


def _strided(
    inputs: Tensor, size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Tensor:
    """Patches as strided windows, for the dimensions that `F.unfold` does not know."""
    n, axes = inputs.shape[0], len(size)
    for axis in range(axes):
        reach = dilation[axis] * (size[axis] - 1) + 1
        inputs = inputs.unfold(2 + axis, reach, stride[axis])[..., :: dilation[axis]]
    order = [0, 1, *range(2 + axes, 2 + 2 * axes), *range(2, 2 + axes)]
    windows = inputs.permute(order)  # (n, c, taps..., positions...)
    return windows.reshape(n, windows.shape[1] * prod(size), -1)
