"""What was seen behind frozen optics, beside the raw images that were shown to them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from hybridonn.core.random import generator_of
from hybridonn.data.batches import to_scene
from hybridonn.data.dataset import ImageSet
from hybridonn.networks.frontends.measured import MeasuredFrontend

AT_A_TIME = 500  # images; fixed, so that the same seed gives the same noise on every machine


@dataclass(frozen=True)
class CapturePair:
    """Pictures of the two sub-optics of each kernel, colours already summed.

    Attributes:
        positive: (N, K, H', W').
        negative: (N, K, H', W').
        shown: The raw images in the same order, with their labels.
        measured: Pixels of each sub-optic's pictures that were measured, (K, 2, H', W') bool, the
            same of all images; no fit looks at the others. None: all were.
    """

    positive: Tensor
    negative: Tensor
    shown: ImageSet
    measured: Tensor | None = None

    def __len__(self) -> int:
        return len(self.positive)

    def take(self, positions: Tensor) -> CapturePair:
        """The captures at these positions, in this order."""
        return replace(
            self,
            positive=self.positive[positions],
            negative=self.negative[positions],
            shown=self.shown.take(positions),
        )

    def subtract(self, gains: Tensor) -> Tensor:
        """Signed features: (N, K, H', W'), by gains of both sub-optics, (K, 2)."""
        plus, minus = gains.to(self.positive)[:, :, None, None].unbind(1)
        return plus * self.positive - minus * self.negative

    def nearest(self) -> Tensor | None:
        """The measured pixel nearest to each one, (K, 2, H' W') int64; None: all are measured.

        What lies beyond a frame holds the value of its border, also in the digital twin's.
        """
        from scipy.ndimage import distance_transform_edt

        covered = self.covered()
        if bool(covered.all()):
            return None
        width = covered.shape[-1]
        found = []
        for mask in covered.flatten(0, 1).numpy():
            place = distance_transform_edt(~mask, return_distances=False, return_indices=True)
            row, column = torch.from_numpy(np.asarray(place)).long()
            found.append((row * width + column).flatten())
        return torch.stack(found).view(*covered.shape[:2], -1)

    def covered(self) -> Tensor:
        """Pixels of each sub-optic's pictures that were measured, (K, 2, H', W') bool."""
        if self.measured is not None:
            return self.measured
        kernels, height, width = self.positive.shape[1:]
        return torch.ones(kernels, 2, height, width, dtype=torch.bool)


def capture_images(frontend: MeasuredFrontend, shown: ImageSet, seed: int) -> CapturePair:
    """Take pictures of images behind a simulated chip, with the camera's noise.

    Args:
        frontend: The chip.
        shown: What is displayed.
        seed: Of the noise.
    """
    device = frontend.psfs.device
    generator = generator_of("noise of a chip's camera", seed, device=device)
    parts = [
        frontend.capture(to_scene(part).to(device), frontend.camera, generator)[0].cpu()
        for part in shown.images.split(AT_A_TIME)
    ]
    positive, negative = torch.cat(parts).unbind(2)
    return CapturePair(positive.contiguous(), negative.contiguous(), shown)
