"""A simulated chip of a trained network's optics, and how far it lies from the design."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from hybridonn.compensation.capture_pair import CapturePair, capture_images
from hybridonn.core.random import seed_of
from hybridonn.data.dataset import ImageSet
from hybridonn.networks.frontends.frontend import Frontend
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.optics.sensor import Sensor


@dataclass(frozen=True)
class SimulatedChip:
    """A network as trained, and the chip that was made of its optics.

    Attributes:
        student: The network with the optics as designed, in inference mode.
        frontend: The optics as fabricated.
        camera: The camera; None: a perfect one.
        seed: Seed of the chip; it decides the camera's noise too.
    """

    student: HybridNetwork
    frontend: Frontend
    camera: Sensor | None
    seed: int

    def capture(self, images: ImageSet, part: str) -> CapturePair:
        """Show images of a part of the data set to the chip."""
        seed = seed_of("captures", self.seed, part)
        return capture_images(self.frontend, images, seed, self.camera)


def kernel_error(chip: SimulatedChip) -> float:
    """``|k_chip - k| / |k|`` over all kernels on the sensor, the smaller in the middle of zeros."""
    made, ideal = chip.frontend.sensor_kernels(), chip.student.frontend.sensor_kernels().detach()
    margin = (made.shape[-1] - ideal.shape[-1]) // 2
    ideal = F.pad(ideal, 4 * (margin,))
    return float(torch.linalg.norm(made - ideal) / torch.linalg.norm(ideal))
