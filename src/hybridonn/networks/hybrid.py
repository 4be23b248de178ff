"""The hybrid optical neural network: an optical frontend and a digital backend."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hybridonn.networks.frontends.frontend import Frontend


class HybridNetwork(nn.Module):
    """Frontend + backend: scene (B, C, H, W) to logits, (B, classes) or (B, classes, H, W)."""

    def __init__(self, frontend: Frontend, backend: nn.Module) -> None:
        super().__init__()
        self.frontend = frontend
        self.backend = backend

    def forward(self, scene: Tensor) -> Tensor:
        """Take the image and answer."""
        return self.backend(self.frontend(scene))

    def divide(self) -> HybridNetwork:
        """The same network with all that electronics compute in its backend."""
        return HybridNetwork(*self.frontend.divide(self.backend))

    @torch.no_grad()
    def shape_features(self, image_shape: tuple[int, int, int]) -> tuple[tuple[int, int, int], ...]:
        """(K_b, H', W') of each branch for a scene of (C, H, W)."""
        weight = next(self.parameters())
        return tuple(
            (one.shape[1], one.shape[2], one.shape[3])
            for one in self.frontend(weight.new_zeros(1, *image_shape))
        )


def count_parameters(module: nn.Module) -> int:
    """Number of trainable numbers of a module."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
