"""What a teacher's last layer says of every pixel of images that return, asked for once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hybridonn.distillation.precision import halve
from hybridonn.tangent import record
from hybridonn.tasks.pixels import SampledPixels

LARGEST = 2**29  # numbers of all images: a gigabyte in half precision


class PixelMemory:
    """A teacher's tangent features of all pixels of the images that it has seen.

    Where a training sees fixed views, an image returns every few passes, with other pixels
    sampled: the products of its features at any of them are the kernel, without the teacher.
    Each image is asked for alone, so that what is remembered, and with it a training that was
    interrupted, does not depend on which images meet in a batch.

    Args:
        teacher: The teacher, in inference mode.
        layers: Layers of the teacher whose tangent kernel is asked for.
        images: How many images there are. Nothing is remembered where their features would take
            more than ``LARGEST`` numbers.
    """

    def __init__(self, teacher: nn.Module, layers: str | tuple[str, ...], images: int) -> None:
        self.teacher = teacher
        self.layers = layers
        self.images = images
        self.serves = True
        self._size = 0, 0
        self._features: dict[int, Tensor] = {}

    def kernel(self, indices: Tensor, scene: Tensor, pixels: SampledPixels) -> Tensor | None:
        """The teacher's tangent kernel on pixels of some images, (B P, B P), detached.

        Args:
            indices: Which images these are, (B,).
            scene: The images, (B, C, H, W).
            pixels: P pixels of each image.

        Returns:
            The kernel, of features in half precision; None where nothing is remembered: the layers
            are not one convolution that ends the teacher, or there are too many images.
        """
        for index, image in zip(indices.tolist(), scene.split(1), strict=True):
            if self.serves and index not in self._features:
                self._remember(index, image)
        if not self.serves:
            return None
        places = pixels.on(self._size)
        found = [
            self._features[index][some]
            for index, some in zip(indices.tolist(), places, strict=True)
        ]
        with torch.autocast(scene.device.type, enabled=False):
            picked = torch.cat(found).float()
            return picked @ picked.T

    @torch.enable_grad()  # the trace reads the graph
    def _remember(self, index: int, image: Tensor) -> None:
        """Keep the features of an image, or find that none can be kept."""
        with record(self.teacher, self.layers) as trace:
            outputs = self.teacher(image)
        with torch.autocast(image.device.type, enabled=False):
            found = trace.place_features(outputs)
        if found is None or found.numel() * self.images > LARGEST:  # the same for each image
            self.serves = False
            self._features.clear()
            return
        self._size = outputs.shape[2], outputs.shape[3]
        self._features[index] = halve(found[0].detach())
