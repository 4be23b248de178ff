"""What was seen behind frozen optics, beside the raw images that were shown to them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hybridonn.data.batches import to_scene
from hybridonn.data.dataset import ImageSet
from hybridonn.errors import SpecError
from hybridonn.networks.measured_frontend import MeasuredFrontend

AT_A_TIME = 500  # images; fixed, so that the same seed gives the same noise on every machine


@dataclass(frozen=True)
class Captured:
    """Pictures of the two sub-optics of each kernel, colours already summed.

    Attributes:
        positive: (N, K, H', W').
        negative: (N, K, H', W').
        shown: The raw images in the same order, with their labels.
    """

    positive: Tensor
    negative: Tensor
    shown: ImageSet

    def __len__(self) -> int:
        return len(self.positive)

    def take(self, positions: Tensor) -> Captured:
        """The captures at these positions, in this order."""
        return Captured(
            self.positive[positions], self.negative[positions], self.shown.take(positions)
        )

    def subtract(self, gains: Tensor) -> Tensor:
        """Signed features: (N, K, H', W'), by gains of both sub-optics, (K, 2)."""
        plus, minus = gains.to(self.positive)[:, :, None, None].unbind(1)
        return plus * self.positive - minus * self.negative


def capture_images(frontend: MeasuredFrontend, shown: ImageSet, seed: int) -> Captured:
    """Take pictures of images behind a simulated chip, with the camera's noise.

    Args:
        frontend: The chip.
        shown: What is displayed.
        seed: Of the noise.
    """
    device = frontend.psfs.device
    generator = torch.Generator(device).manual_seed(seed)
    parts = [
        frontend.capture(to_scene(part).to(device), generator).cpu()
        for part in shown.images.split(AT_A_TIME)
    ]
    positive, negative = torch.cat(parts).unbind(2)
    return Captured(positive.contiguous(), negative.contiguous(), shown)


def count_captures(fraction: float, images: ImageSet, classes: int) -> int:
    """How many captures a fraction of some images is.

    Args:
        fraction: Of the images.
        images: With their labels, or masks, which are of no one class.
        classes: Of the labels.

    Raises:
        SpecError: Not one of each class, or none at all.
    """
    number, least, why = round(fraction * len(images)), 1, ""
    if images.labels.ndim == 1:
        least, why = classes, ", one of each class"
    if number < least:
        needed = math.ceil(1e4 * least / len(images)) / 1e4
        raise SpecError(
            f"compensation: a fraction of {fraction:g} of {len(images):,} images is {number} "
            f"capture{'s' * (number != 1)}, but it takes at least {least}{why}; "
            f"take a fraction of {min(1.0, needed):g} or more"
        )
    return number
