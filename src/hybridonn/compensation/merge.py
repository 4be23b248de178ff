"""Puts corrections of feature maps into a backend that is already there: no operation more."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hybridonn.errors import HybridonnError
from hybridonn.networks.backends import ChannelBias, TwoSidedReLU


class MergeError(HybridonnError):
    """A backend has no layer that a correction could be merged into."""


@torch.no_grad()
def merge_offsets(backend: nn.Module, offsets: Tensor) -> None:
    """Make ``backend(x)`` what ``backend(x + offset)`` was, in place.

    A channel bias takes the offset; batch norm in inference subtracts it from its mean.

    Args:
        backend: Begins with an offset or a batch norm of each kernel.
        offsets: Of each kernel, (K,).

    Raises:
        MergeError: It begins with something else.
    """
    first = _first_of(backend, offsets)
    if isinstance(first, ChannelBias):
        first.bias.add_(offsets.to(first.bias))
    else:
        first.running_mean -= offsets.to(first.running_mean)  # pyright: ignore


@torch.no_grad()
def merge_gains(backend: nn.Module, gains: Tensor) -> None:
    """Make ``backend(x)`` what ``backend(gain x)`` was, in place.

    For electronics whose subtraction has no gains. Batch norm takes any gain:
    ``(g x - m) / s = (x - m / g) / (s / g)``. Behind a channel bias, ReLU and pooling commute
    with a positive gain: ``pool(relu(g x + b)) = g pool(relu(x + b / g))``, so the next layer's
    weights take it.

    Args:
        backend: Begins with an offset or a batch norm of each kernel.
        gains: Of each kernel, (K,), positive.

    Raises:
        MergeError: A gain is not positive, or the backend begins with something else.
    """
    if not bool((gains > 0).all()):
        found = ", ".join(f"{float(gain):.3g}" for gain in gains)
        raise MergeError(
            f"the gains are {found}; only positive ones pass a ReLU: check the pairing of "
            "positive and negative pictures"
        )
    first = _first_of(backend, gains)
    if isinstance(first, ChannelBias):
        _scale_columns(backend, first, gains)
        first.bias.div_(gains.to(first.bias))
    else:
        first.weight.mul_(gains.to(first.weight))
        first.running_mean /= gains.to(first.running_mean)  # pyright: ignore


def _scale_columns(backend: nn.Module, first: nn.Module, gains: Tensor) -> None:
    modules = list(backend.children()) if isinstance(backend, nn.Sequential) else []
    if first not in modules:
        raise MergeError(f"{type(backend).__name__} is no sequence that begins with an offset")
    after = modules[modules.index(first) + 1 :]
    layer = next((m for m in after if isinstance(m, nn.Linear | nn.Conv2d)), None)
    if layer is None:
        raise MergeError(f"{type(backend).__name__} has no dense layer that could take gains")
    inputs = layer.weight.shape[1]
    sides = 2 if inputs % (2 * len(gains)) == 0 and _is_two_sided(after) else 1
    columns = gains.repeat(sides).repeat_interleave(inputs // (sides * len(gains)))
    shape = (1, -1) if isinstance(layer, nn.Linear) else (1, -1, 1, 1)
    layer.weight *= columns.view(shape).to(layer.weight)


def _is_two_sided(modules: list[nn.Module]) -> bool:
    return any(isinstance(module, TwoSidedReLU) for module in modules)


def _first_of(backend: nn.Module, values: Tensor) -> ChannelBias | nn.BatchNorm2d:
    for module in backend.modules():
        if isinstance(module, ChannelBias) and len(module.bias) == len(values):
            return module
        if isinstance(module, nn.BatchNorm2d) and module.num_features == len(values):
            return module
        if next(module.parameters(recurse=False), None) is not None:
            break
    raise MergeError(
        f"{type(backend).__name__} does not begin with an offset or a batch norm of "
        f"{len(values)} kernels, so a correction of its features would cost an operation"
    )
