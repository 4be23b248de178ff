"""Adaptive pooling in operations that small runtimes know.

ONNX has no adaptive pooling; exporters write it as one slice and one mean an output pixel, about 90
operations for 28 -> 6. The mean over windows is linear and acts on rows and columns separately, so
it is two constant matrices, ``R x C``; the maximum over windows is that over rows, then columns.
Windows that share no pixel and leave none out are those of ordinary pooling, which is quicker.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class ExportablePooling(TorchFunctionMode):
    """A context in which adaptive pooling is computed by :func:`average` and :func:`maximum`."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch, or what takes its place."""
        kwargs = kwargs or {}
        compiled = torch._C._nn.adaptive_avg_pool2d  # pyright: ignore[reportAttributeAccessIssue]
        if func in (F.adaptive_avg_pool2d, compiled):
            return average(*args, **kwargs)
        if func is F.adaptive_max_pool2d and not kwargs.get("return_indices", len(args) > 2):
            return maximum(args[0], *args[1:2], **_without(kwargs, "return_indices"))
        return func(*args, **kwargs)


def average(input: Tensor, output_size: int | Sequence[int | None]) -> Tensor:
    """Mean over windows: (..., H, W) to (..., H', W'), as ``F.adaptive_avg_pool2d`` does."""
    rows, columns = _sizes(input, output_size)
    height, width = input.shape[-2:]
    if height % rows == 0 and width % columns == 0:
        return F.avg_pool2d(input, (height // rows, width // columns))
    matrices = [averaging_matrix(height, rows), averaging_matrix(width, columns)]
    left, right = (matrix.to(input) for matrix in matrices)
    return left @ input @ right.T


def maximum(input: Tensor, output_size: int | Sequence[int | None]) -> Tensor:
    """Maximum over windows: (..., H, W) to (..., H', W'), as ``F.adaptive_max_pool2d`` does."""
    rows, columns = _sizes(input, output_size)
    taller = input[..., window_pixels(input.shape[-2], rows), :].amax(-2)
    return taller[..., window_pixels(input.shape[-1], columns)].amax(-1)


def averaging_matrix(size: int, windows: int) -> Tensor:
    """The mean over windows along one axis, (windows, size) float32."""
    matrix = torch.zeros(windows, size)
    for row, (start, stop) in zip(matrix, _windows(size, windows), strict=True):
        row[start:stop] = 1 / (stop - start)
    return matrix


def window_pixels(size: int, windows: int) -> Tensor:
    """The pixels in each window, (windows, longest window) int64; the last one fills up."""
    spans = _windows(size, windows)
    longest = max(stop - start for start, stop in spans)
    return torch.tensor(
        [[min(start + i, stop - 1) for i in range(longest)] for start, stop in spans]
    )


def _windows(size: int, windows: int) -> list[tuple[int, int]]:
    """Window i of n spans floor(i size / n) to ceil((i + 1) size / n), as torch defines it."""
    return [(i * size // windows, -(-(i + 1) * size // windows)) for i in range(windows)]


def _sizes(input: Tensor, output_size: int | Sequence[int | None]) -> tuple[int, int]:
    sizes = (output_size, output_size) if isinstance(output_size, int) else tuple(output_size)
    rows, columns = (
        own if size is None else size for size, own in zip(sizes, input.shape[-2:], strict=True)
    )
    return rows, columns


def _without(keywords: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in keywords.items() if key != name}
