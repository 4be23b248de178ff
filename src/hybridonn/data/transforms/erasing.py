"""Random erasing: a rectangle of the image goes dark (Zhong et al. 2020)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

AREA = (0.02, 0.33)  # shares of the image, the paper's section 4.1
RATIO = (0.3, 1 / 0.3)  # height over width


def erase(scene: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Darken a rectangle of some images; labels stay as they are.

    Area and logarithm of the aspect ratio are uniform; sides are cut to those of the image.

    Args:
        scene: (B, C, H, W).
        probability: Share of the images, 0: nothing is drawn.
        generator: Where the random numbers come from.
    """
    if not probability:
        return scene
    height, width = scene.shape[-2:]
    drawn = torch.rand(5, len(scene), generator=generator, device=generator.device)
    area = (AREA[0] + drawn[0] * (AREA[1] - AREA[0])) * height * width
    low, high = map(math.log, RATIO)
    ratio = (low + drawn[1] * (high - low)).exp()
    sides = (area * ratio).sqrt(), (area / ratio).sqrt()
    box = draw_box(sides, (height, width), drawn[2:4]).to(scene.device)
    hit = (drawn[4] < probability).to(scene.device)
    return scene.masked_fill(box & hit[:, None, None, None], 0)


def draw_box(sides: tuple[Tensor, Tensor], size: tuple[int, int], places: Tensor) -> Tensor:
    """Which pixels lie in a rectangle, (B, 1, H, W) bool.

    Args:
        sides: Height and width in pixels, (B,) each; rounded, and cut to the image.
        size: (H, W).
        places: Where the rectangle lies from the first to the last place that it fits, (2, B)
            in [0, 1).
    """
    inside = []
    for side, length, place in zip(sides, size, places, strict=True):
        side = side.round().clamp(1, length)
        first = (place * (length - side + 1)).floor()
        pixels = torch.arange(length, device=side.device)
        inside.append((pixels >= first[:, None]) & (pixels < (first + side)[:, None]))
    rows, columns = inside
    return (rows[:, :, None] & columns[:, None]).unsqueeze(1)
