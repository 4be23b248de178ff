"""What an import of captures must know of the run whose chip was captured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from hybridonn.compensation.acquisition.capture_dataset import look_up
from hybridonn.compensation.acquisition.manifest import POINT
from hybridonn.compensation.acquisition.simulate import draw_point, simulate_pictures
from hybridonn.data.dataset import Dataset
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
    """

    kernels: Tensor
    stride: int
    layout: Layout
    dataset: Dataset
    fingerprint: str
    metasurface: str | None = None

    @property
    def origin(self) -> dict[str, str | None]:
        """What captures of its chip are of, as a template and a capture set note it."""
        return {
            "dataset": self.dataset.checksum,
            "student": self.fingerprint,
            "metasurface": self.metasurface,
        }

    @property
    def shape(self) -> tuple[int, int]:
        """(H', W') of a feature map."""
        _, height, width = self.dataset.image_shape
        return -(-height // self.stride), -(-width // self.stride)

    def simulate(self, image_ids: list[str]) -> np.ndarray:
        """Simulated pictures of images, or of a point, (N, 2 K, H', W') float32."""
        if image_ids == [POINT]:
            images = draw_point(self.dataset.image_shape)
        else:
            images = look_up(image_ids, self.dataset).images
        return simulate_pictures(self.kernels.cpu(), self.stride, images).numpy()


def name_sub_optic(number: int) -> str:
    """``3+`` for the positive part of kernel 3."""
    return f"{number // 2}{'-' if number % 2 else '+'}"
