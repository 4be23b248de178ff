"""How a network's numbers lie in memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Of a vector of single precision, the widest that there is; see `_is_fragile`.
_NARROW = 16


def lay_channels_last(network: nn.Module) -> None:
    """Let the channels of images lie next to each other: convolutions are up to 2.5 times faster.

    Layers that torch cannot differentiate so stay as they are, and so does what they are given.

    Args:
        network: Changed in place; its numbers stay the same.
    """
    for tensor in (*network.parameters(), *network.buffers()):
        # Not network.to(memory_format=...), which takes what has five dimensions for images too.
        if tensor.dim() == 4:
            tensor.data = tensor.data.to(memory_format=torch.channels_last)
    for layer in network.modules():
        if _is_fragile(layer):
            layer.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]
            if _lay_contiguous not in layer._forward_pre_hooks.values():
                layer.register_forward_pre_hook(_lay_contiguous)


def convolve(scene: Tensor, kernels: Tensor, stride: int, padding: int | tuple[int, ...]) -> Tensor:
    """Convolve a scene, kernels of one pixel with the pixels that they meet alone.

    The sum is the same, and no gradient is taken of what :func:`lay_channels_last` calls fragile.

    Args:
        scene: (B, C, H, W).
        kernels: (K, C, m, n).
        stride: Every so many pixels of the result are kept.
        padding: Dark pixels around the scene.
    """
    padded = padding if isinstance(padding, int) else max(padding)
    if stride > 1 and not padded and max(kernels.shape[-2:]) == 1:
        scene, stride = scene[..., ::stride, ::stride], 1
    return F.conv2d(scene, kernels, stride=stride, padding=padding)


def _lay_contiguous(layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """A layer's inputs, each row after the other."""
    # Of one channel contiguous() leaves strides that torch takes for channels last.
    return tuple(one.clone(memory_format=torch.contiguous_format) for one in inputs)


def _is_fragile(layer: nn.Module) -> bool:
    """Whether torch writes beyond its memory in the layer's backward pass with channels last.

    So does torch 2.13 on processors with AVX2 or AVX-512 for 1 x 1 convolutions of fewer input
    channels than a vector has numbers and a stride (uxlfoundation/oneDNN, issue 6035): the process
    ends, or goes on with wrong numbers.
    """
    return (
        isinstance(layer, nn.Conv2d)
        and max(layer.kernel_size) == 1
        and max(layer.stride) > 1
        and layer.in_channels < _NARROW
    )
