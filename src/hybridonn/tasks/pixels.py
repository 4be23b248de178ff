"""Pixels that are sampled of labelled images, half of them where the labels change."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

REACH = 2  # pixels from a border of the labels that still are near it


@dataclass(frozen=True)
class SampledPixels:
    """Some pixels of each image, wherever in an output of another size they lie.

    Attributes:
        places: Positions in each image row by row, (B, P) int64.
        size: Height and width of the images that they were sampled of.
    """

    places: Tensor
    size: tuple[int, int]

    def on(self, size: tuple[int, int]) -> Tensor:
        """The same pixels, (B, P), in outputs of another height and width."""
        if size == self.size:
            return self.places
        (height, width), (rows, columns) = self.size, size
        row, column = self.places // width, self.places % width
        # The middle of a pixel decides in which one of the output it lies.
        row = (2 * row + 1) * rows // (2 * height)
        column = (2 * column + 1) * columns // (2 * width)
        return row * columns + column


def sample_near_borders(labels: Tensor, count: int) -> SampledPixels:
    """Sample pixels of each image, half of them near a border of its labels.

    Away from borders neighbours answer alike, so that a uniform sample says most about what is
    easy. An image with too few pixels near a border gives others in their place.

    Args:
        labels: Labels of the pixels, (B, H, W).
        count: Pixels of an image, each once; at most H W.

    Returns:
        Pixels by torch's random state, on the device of the labels.
    """
    return sample_half_near(find_borders(labels), count)


def sample_half_near(marked: Tensor, count: int) -> SampledPixels:
    """Sample pixels of each image, half of them among the marked ones as far as they go.

    Args:
        marked: Which pixels, or cells, are marked, (B, H, W) bool.
        count: Pixels of an image, each once; at most H W.

    Returns:
        Pixels by torch's random state, on the device of the marks.
    """
    near = marked.flatten(1)
    count = min(count, near.shape[1])
    order = torch.rand(near.shape).to(near.device)  # the same draws on every device
    first = (order + near).topk(count // 2).indices
    rest = order.scatter(1, first, -1.0).topk(count - count // 2).indices
    return SampledPixels(torch.cat([first, rest], 1), (marked.shape[1], marked.shape[2]))


def find_borders(labels: Tensor) -> Tensor:
    """Whether a pixel has another label than one within ``REACH`` pixels, (B, H, W) bool."""
    maps, window = labels[:, None].float(), 2 * REACH + 1
    highest = F.max_pool2d(maps, window, 1, REACH)
    lowest = -F.max_pool2d(-maps, window, 1, REACH)
    return (highest != lowest)[:, 0]
