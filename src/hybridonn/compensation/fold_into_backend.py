"""Puts corrections of feature maps into a backend that is already there: no operation more."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hybridonn.core.errors import HybridonnError
from hybridonn.networks.backends.layers import ChannelBias


class FoldError(HybridonnError):
    """A backend has no layer that a correction could be merged into."""


@torch.no_grad()
def fold_offsets(backend: nn.Module, offsets: Tensor) -> None:
    """Make ``backend(x)`` what ``backend(x + offset)`` was, in place.

    A channel bias takes the offset; batch norm in inference subtracts it from its mean.

    Args:
        backend: Begins with an offset or a batch norm of each kernel.
        offsets: Offset of each kernel, (K,).

    Raises:
        FoldError: It begins with something else.
    """
    first = _first_of(backend, offsets)
    if isinstance(first, ChannelBias):
        first.bias.add_(offsets.to(first.bias))
    else:
        first.running_mean -= offsets.to(first.running_mean)  # pyright: ignore


def _first_of(backend: nn.Module, values: Tensor) -> ChannelBias | nn.BatchNorm2d:
    for module in backend.modules():
        if isinstance(module, ChannelBias) and len(module.bias) == len(values):
            return module
        if isinstance(module, nn.BatchNorm2d) and module.num_features == len(values):
            return module
        if next(module.parameters(recurse=False), None) is not None:
            break
    raise FoldError(
        f"{type(backend).__name__} does not begin with an offset or a batch norm of "
        f"{len(values)} kernels, so a correction of its features would cost an operation"
    )
