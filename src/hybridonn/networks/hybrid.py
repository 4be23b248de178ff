"""The hybrid optical neural network: an optical frontend and a digital backend."""

from __future__ import annotations

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


def count_parameters(module: nn.Module) -> int:
    """Number of trainable numbers of a module."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
