"""Optics whose two images a camera takes before electronics subtract them."""

from __future__ import annotations

import torch
from torch import Tensor

from hybridonn.networks.frontends.frontend import Frontend
from hybridonn.optics.sensor import Sensor


class BehindCamera(Frontend):
    """Any optics with a camera behind them: noise, saturation and rounding act on the features.

    Nothing trains through it: what it gives has no gradient.

    Args:
        optics: The optics.
        sensor: The camera.
        generator: Generator of the camera's noise, on the device of the scene; None: no noise.
    """

    def __init__(
        self, optics: Frontend, sensor: Sensor, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.optics, self.kernels, self.exposures = optics, optics.kernels, optics.exposures
        self.sensor, self.generator = sensor, generator

    def signed_kernels(self) -> Tensor:
        """The kernels that the optics realise, (K, C, k, k)."""
        return self.optics.signed_kernels()

    @torch.no_grad()
    def forward(self, scene: Tensor) -> tuple[Tensor, ...]:
        """Take both images and subtract: (B, C, H, W) to one (B, K_b, H', W') a branch."""
        taken = self.optics.capture(scene, self.sensor, self.generator)
        return tuple(both[:, :, 0] - both[:, :, 1] for both in taken)
