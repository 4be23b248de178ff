"""Brightness, contrast and saturation of scenes, and grey from colours."""

from __future__ import annotations

import torch
from torch import Tensor

from hybridonn.spec import Augmentation

LUMA = (0.299, 0.587, 0.114)  # of red, green and blue: Recommendation ITU-R BT.601-7, 2.5.1


def luma(scene: Tensor) -> Tensor:
    """Grey values of a scene: (B, C, H, W) to (B, 1, H, W).

    Of three channels as red, green and blue by BT.601; of any other number, the mean.
    """
    if scene.shape[1] != 3:
        return scene.mean(1, keepdim=True)
    red, green, blue = scene.split(1, 1)
    return (LUMA[0] * red).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def recolour(scene: Tensor, settings: Augmentation, generator: torch.Generator) -> Tensor:
    """Change brightness, contrast and saturation of each image at random.

    With factors b, c, s uniform in 1 plus or minus the settings, in this order:
    ``x <- b x``; ``x <- m + c (x - m)``, m the image's mean grey value; and
    ``x <- l + s (x - l)``, l each pixel's grey value; then values are cut to
    [0, 1]. All three are linear in x, l and m, so they are one step,
    ``b c (s x + (1 - s) l) + b (1 - c) m``, l and m taken of the scene as it came.

    Args:
        scene: (B, C, H, W) in [0, 1].
        settings: How far; with all three zero, nothing is drawn.
        generator: Where the random numbers come from.
    """
    limits = (settings.brightness, settings.contrast, settings.saturation)
    if not any(limits):
        return scene
    drawn = torch.rand(3, len(scene), 1, 1, 1, generator=generator, device=generator.device)
    spread = torch.tensor(limits, device=drawn.device).view(3, 1, 1, 1, 1)
    bright, contrast, saturation = (1 + (2 * drawn - 1) * spread).to(scene)
    grey = luma(scene)
    level = bright * (1 - contrast) * grey.mean((2, 3), keepdim=True)
    base = (bright * contrast * (1 - saturation) * grey).add_(level)
    return torch.addcmul(base, scene, bright * contrast * saturation).clamp_(0, 1)
