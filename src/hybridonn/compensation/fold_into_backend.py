"""Puts corrections of feature maps into a backend that is already there: no operation more."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hybridonn.core.errors import HybridonnError
from hybridonn.networks.backends.layers import ChannelBias


class FoldError(HybridonnError):
    """A backend has no layer that a correction could be merged into."""


@torch.no_grad()
def fold_offsets(backend: nn.Module, offsets: Tensor, branches: tuple[Tensor, ...]) -> None:
    """Make ``backend(x)`` what ``backend(x + offset)`` was, in place.

    A channel bias takes the offset; batch norm in inference subtracts it from its mean.

    Args:
        backend: Meets each branch with an offset or a batch norm of each kernel.
        offsets: Offset of each kernel, (K,).
        branches: Features of one image or more, (N, K_b, H_b, W_b) a branch.

    Raises:
        FoldError: It meets a branch with something else.
    """
    own = offsets.split([one.shape[1] for one in branches])
    firsts = [_find_first(backend, branches, index) for index in range(len(branches))]
    for first, values in zip(firsts, own, strict=True):
        if isinstance(first, ChannelBias):
            first.bias.add_(values.to(first.bias))
        else:
            first.running_mean -= values.to(first.running_mean)  # pyright: ignore


def _find_first(
    backend: nn.Module, branches: tuple[Tensor, ...], index: int
) -> ChannelBias | nn.BatchNorm2d:
    """The one layer that a branch of features goes into.

    Raises:
        FoldError: There are several, or it is neither an offset nor a batch norm.
    """
    taken: list[nn.Module] = []

    def watch(module: nn.Module, inputs: tuple[object, ...]) -> None:
        if any(one is branches[index] for one in inputs):
            taken.append(module)

    leaves = [module for module in backend.modules() if not any(module.children())]
    hooks = [leaf.register_forward_pre_hook(watch) for leaf in leaves]
    try:
        backend(branches)
    finally:
        for hook in hooks:
            hook.remove()
    match taken:
        case [ChannelBias() | nn.BatchNorm2d() as first]:
            return first
    kernels = branches[index].shape[1]
    raise FoldError(
        f"{type(backend).__name__} does not begin with an offset or a batch norm of {kernels} "
        f"kernels at branch {index}, so a correction of its features would cost an operation"
    )
