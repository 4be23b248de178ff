"""Optics whose features were stored before: they pass through."""

from __future__ import annotations

from torch import Tensor

from hybridonn.networks.frontends.frontend import Frontend


class StoredFeatures(Frontend):
    """Stands for optics whose features are stored: a backend trains on them alone.

    Args:
        kernels: Number of signed kernels of all branches together.
    """

    def __init__(self, kernels: int) -> None:
        super().__init__()
        self.kernels = kernels

    def forward(self, scene: tuple[Tensor, ...]) -> tuple[Tensor, ...]:  # pyright: ignore
        """The stored branches as they are, each (B, K, H', W')."""
        return scene
