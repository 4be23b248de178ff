"""What a network sees just before its last layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hybridonn.core.errors import HybridonnError


def penultimate(network: nn.Module, scene: Tensor | tuple[Tensor, ...]) -> Tensor:
    """The input of the last dense or convolutional layer, a row an image.

    Args:
        network: Any network.
        scene: (B, C, H, W), or the branches that a backend takes.

    Returns:
        Features, (B, D).

    Raises:
        HybridonnError: The network has no dense or convolutional layer.
    """
    layers = [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    if not layers:
        raise HybridonnError(f"{type(network).__name__} has no dense or convolutional layer")
    seen: list[Tensor] = []
    hooks = [
        layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        for layer in layers
    ]
    try:
        with torch.no_grad():
            network(scene)
    finally:
        for hook in hooks:
            hook.remove()
    return seen[-1].flatten(1)
