"""What a camera should see: captures of both sub-optics of each kernel, simulated."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from hybridonn.data.batches import to_scene
from hybridonn.networks.frontends.frontend import split_signs

AT_A_TIME = 100  # images whose captures are simulated together


@torch.no_grad()
def simulate_pictures(kernels: Tensor, stride: int, images: Tensor) -> Tensor:
    """Captures behind each sub-optic of ideal optics.

    Args:
        kernels: Signed, (K, C, k, k), as ``torch`` correlates.
        stride: Pixels of the scene a pixel of the capture.
        images: (N, C, H, W) uint8.

    Returns:
        (N, 2 K, H', W') float32: plus and minus of kernel 0, of kernel 1 ...
    """
    parts = torch.stack(split_signs(kernels.detach().float()), 1).flatten(0, 1)
    return F.conv2d(to_scene(images), parts, stride=stride, padding=kernels.shape[-1] // 2)


def draw_point(image_shape: tuple[int, int, int]) -> Tensor:
    """The image of a point, one bright pixel in the middle, (1, C, H, W) uint8."""
    channels, height, width = image_shape
    point = torch.zeros(1, channels, height, width, dtype=torch.uint8)
    point[:, :, height // 2, width // 2] = 255
    return point
