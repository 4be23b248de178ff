"""What a deployed backend is calibrated and tried on: features, and scenes where they are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from hybridonn.data.batches import to_scene
from hybridonn.data.dataset import ImageSet
from hybridonn.networks.frontends.frontend import Frontend

AT_A_TIME = 64  # images


@dataclass(frozen=True)
class Samples:
    """Features of some images, computed as they are asked for.

    Attributes:
        labels: Labels of the images, (N, ...).
        read: From a slice of the images to their scenes (B, C, H, W), None where only captures
            are known, and their features, (B, K_b, H', W') a branch.
    """

    labels: Tensor
    read: Callable[[slice], tuple[Tensor | None, tuple[Tensor, ...]]]

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self) -> Iterator[tuple[Tensor | None, tuple[Tensor, ...]]]:
        """Scenes and features, some images at a time."""
        for start in range(0, len(self), AT_A_TIME):
            yield self.read(slice(start, min(start + AT_A_TIME, len(self))))

    def features(self, number: int | None = None) -> tuple[Tensor, ...]:
        """Features of the first images, of all if no number is given."""
        few = Samples(self.labels[:number], self.read)
        parts = [features for _, features in few.batches()]
        return tuple(torch.cat(branch) for branch in zip(*parts, strict=True))


def see_images(frontend: Frontend, images: ImageSet) -> Samples:
    """Images behind simulated optics."""

    @torch.no_grad()
    def read(part: slice) -> tuple[Tensor, tuple[Tensor, ...]]:
        scene = to_scene(images.images[part])
        return scene, frontend(scene)

    return Samples(images.labels, read)


def hold_features(features: tuple[Tensor, ...], labels: Tensor) -> Samples:
    """Features that were captured, whose scenes are not looked at.

    Args:
        features: Signed features of each branch, (N, K_b, H', W').
        labels: Labels of the images.
    """
    return Samples(labels, lambda part: (None, tuple(one[part] for one in features)))
