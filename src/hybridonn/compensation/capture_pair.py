"""What was seen behind frozen optics, beside the raw images that were shown to them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from hybridonn.core.memory import refuse_beyond_memory
from hybridonn.core.random import generator_of
from hybridonn.data.batches import to_scene
from hybridonn.data.dataset import ImageSet
from hybridonn.networks.frontends.frontend import Frontend
from hybridonn.optics.sensor import Sensor

# Fixed, so that the same seed gives the same noise on every machine.
AT_A_TIME = 500  # images
ROOM = 2**26  # pixels behind all sub-optics in all colours


@dataclass(frozen=True)
class CapturePair:
    """Captures of the two sub-optics of each kernel, colours already summed.

    Attributes:
        branches: Captures of each branch of the optics, (N, K_b, 2, H_b, W_b): positive, negative.
        shown: The raw images in the same order, with their labels.
        measured: Pixels of each branch's captures that were measured, (K_b, 2, H_b, W_b) bool,
            the same of all images; no fit looks at the others. None: all were.
    """

    branches: tuple[Tensor, ...]
    shown: ImageSet
    measured: tuple[Tensor, ...] | None = None

    def __len__(self) -> int:
        return len(self.shown)

    @property
    def counts(self) -> list[int]:
        """Number of signed kernels of each branch."""
        return [pictures.shape[1] for pictures in self.branches]

    def take(self, positions: Tensor) -> CapturePair:
        """The captures at these positions, in this order."""
        branches = tuple(pictures[positions] for pictures in self.branches)
        return replace(self, branches=branches, shown=self.shown.take(positions))

    def subtract(self, gains: Tensor) -> tuple[Tensor, ...]:
        """Signed features of each branch, (N, K_b, H_b, W_b), by gains of sub-optics, (K, 2)."""
        pairs = zip(self.branches, gains.split(self.counts), strict=True)
        return tuple(subtract(pictures, own) for pictures, own in pairs)

    def covered(self) -> tuple[Tensor, ...]:
        """Pixels of each branch's captures that were measured, (K_b, 2, H_b, W_b) bool."""
        if self.measured is not None:
            return self.measured
        return tuple(torch.ones(one.shape[1:], dtype=torch.bool) for one in self.branches)


def subtract(pictures: Tensor, gains: Tensor) -> Tensor:
    """Signed features, (N, K, H', W'), of captures (N, K, 2, H', W') by gains (K, 2)."""
    plus, minus = gains.to(pictures)[:, :, None, None].unbind(1)
    positive, negative = pictures.unbind(2)
    return plus * positive - minus * negative


def find_nearest(covered: Tensor) -> Tensor | None:
    """The measured pixel nearest to each one, (K, 2, H' W') int64; None: all are measured.

    What lies beyond a frame holds the value of its border, also in the digital twin's.

    Args:
        covered: Pixels that were measured, (K, 2, H', W') bool.
    """
    from scipy.ndimage import distance_transform_edt

    if bool(covered.all()):
        return None
    width = covered.shape[-1]
    found = []
    for mask in covered.flatten(0, 1).numpy():
        place = distance_transform_edt(~mask, return_distances=False, return_indices=True)
        row, column = torch.from_numpy(np.asarray(place)).long()
        found.append((row * width + column).flatten())
    return torch.stack(found).view(*covered.shape[:2], -1)


@torch.no_grad()
def capture_images(
    frontend: Frontend, shown: ImageSet, seed: int, camera: Sensor | None = None
) -> CapturePair:
    """Take captures of images behind a simulated chip, with the camera's noise.

    Args:
        frontend: The chip.
        shown: What is displayed.
        seed: Seed of the camera noise.
        camera: The camera; None: a perfect one.

    Raises:
        SpecError: The captures take more memory than there is.
    """
    device = next(chain(frontend.buffers(), frontend.parameters())).device
    generator = generator_of("noise of a chip's camera", seed, device=device)
    at_a_time = count_at_a_time(frontend.kernels, shown)
    branches = _allocate(frontend, shown, device)
    for start in range(0, len(shown), at_a_time):
        part = slice(start, start + at_a_time)
        scene = to_scene(shown.images[part]).to(device)
        taken = frontend.capture(scene, camera, generator)
        for pictures, some in zip(branches, taken, strict=True):
            pictures[part] = some
    return CapturePair(branches, shown)


def count_at_a_time(kernels: int, shown: ImageSet) -> int:
    """How many images are captured at a time, by the light behind all of their sub-optics."""
    return max(1, min(AT_A_TIME, ROOM // (2 * kernels * shown.images[0].numel())))


def _allocate(frontend: Frontend, shown: ImageSet, device: torch.device) -> tuple[Tensor, ...]:
    """Room for the captures of all images, one (N, K_b, 2, H_b, W_b) a branch."""
    like = frontend.capture(to_scene(shown.images[:1]).to(device))
    size = len(shown) * sum(one[0].numel() * one.element_size() for one in like)
    refuse_beyond_memory(
        size,
        f"captures of {len(shown):,} images behind {frontend.kernels} kernels",
        "lower compensation.fraction, data.test_images, data.size_pixels or student.kernels",
    )
    return tuple(one.new_empty(len(shown), *one.shape[1:], device="cpu") for one in like)
