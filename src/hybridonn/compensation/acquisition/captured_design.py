"""What an import of captures must know of the run whose chip was captured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hybridonn.compensation.acquisition.capture_dataset import look_up
from hybridonn.compensation.acquisition.manifest import POINT
from hybridonn.compensation.acquisition.simulate import (
    AT_A_TIME,
    draw_point,
    simulate_pictures,
)
from hybridonn.data.batches import to_scene
from hybridonn.data.dataset import Dataset
from hybridonn.networks.frontends.frontend import Frontend
from hybridonn.networks.frontends.table import FRONTENDS
from hybridonn.optics.layout.sites import Layout


@dataclass(frozen=True)
class CapturedDesign:
    """What an import must know of the run.

    Attributes:
        kernels: Signed kernels of the student on the sensor, (K, C, k, k).
        stride: Stride of the sensor; branches bin its pixels when they are read out.
        layout: Layout of the metasurface.
        dataset: The images of the run.
        fingerprint: Fingerprint of the stage that made the student.
        metasurface: Fingerprint of the stage that designed the metasurface; None: there is none.
        optics: The optics as designed; None: the kernels are ideal.
        frontend: Name of the optics in the spec.
        branches: Number of signed kernels of each branch; empty: the student has one.
    """

    kernels: Tensor
    stride: int
    layout: Layout
    dataset: Dataset
    fingerprint: str
    metasurface: str | None = None
    optics: Frontend | None = None
    frontend: str = "ideal"
    branches: tuple[int, ...] = ()

    @property
    def origin(self) -> dict[str, str | None]:
        """What captures of its chip are of, as a template and a capture set note it."""
        return name_origin(self.dataset, self.fingerprint, self.metasurface, self.frontend)

    @property
    def shape(self) -> tuple[int, int]:
        """(H', W') of a feature map."""
        _, height, width = self.dataset.image_shape
        return -(-height // self.stride), -(-width // self.stride)

    @property
    def is_coherent(self) -> bool:
        """Whether the capture of a point says nothing of that of a scene: in a 4f system."""
        return FRONTENDS[self.frontend].coherent

    def electronic_gains(self) -> np.ndarray:
        """What the electronics multiply the light of each sub-optic by, (2 K,)."""
        if self.optics is None:
            return np.ones(2 * len(self.kernels))
        return self.optics.electronic_gains().detach().double().flatten().numpy()

    def simulate(self, image_ids: list[str]) -> np.ndarray:
        """Simulated light of images, or of a point, (N, 2 K, H', W') float32."""
        if image_ids == [POINT]:
            images = draw_point(self.dataset.image_shape)
        else:
            images = look_up(image_ids, self.dataset).images
        return self.simulate_images(images)

    def simulate_labels(self, image_ids: list[str]) -> np.ndarray | None:
        """Simulated light of the labels of images; None: they are no captures."""
        if image_ids == [POINT]:
            return None
        labels = look_up(image_ids, self.dataset).labels
        drawn = self.dataset.task.draw_labels(labels, len(self.dataset.classes))
        if drawn is None:
            return None
        return self.simulate_images(drawn.expand(-1, self.dataset.image_shape[0], -1, -1))

    @torch.no_grad()
    def simulate_images(self, images: Tensor) -> np.ndarray:
        """Simulated light of images (N, C, H, W) uint8, (N, 2 K, H', W') float32."""
        if self.optics is None:
            return simulate_pictures(self.kernels.cpu(), self.stride, images).numpy()
        parts = [self.optics.light(to_scene(some)) for some in images.split(AT_A_TIME)]
        return torch.cat(parts).flatten(1, 2).float().numpy()


def name_origin(
    dataset: Dataset, student: str, metasurface: str | None, frontend: str
) -> dict[str, str | None]:
    """What captures are of: the optics, and hashes of data set, student and metasurface."""
    return {
        "optics": frontend,
        "dataset": dataset.checksum,
        "student": student,
        "metasurface": metasurface,
    }


def name_sub_optic(number: int) -> str:
    """``3+`` for the positive part of kernel 3."""
    return f"{number // 2}{'-' if number % 2 else '+'}"
