"""From stored images to scenes, and random changes of scenes for training."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from hybridonn.spec import Augmentation


@dataclass(frozen=True)
class Affine:
    """How the content of each picture is changed, about the picture's centre.

    Attributes:
        right: Shift in pixels, (B,).
        down: Shift in pixels, (B,), after rotation and scaling.
        angle_radians: Rotation, anticlockwise as one sees it, (B,).
        scale: Magnification, (B,).
    """

    right: Tensor
    down: Tensor
    angle_radians: Tensor
    scale: Tensor


def to_scene(images: Tensor) -> Tensor:
    """Radiance of images: (B, C, H, W) uint8 to float32 in [0, 1].

    Raises:
        TypeError: The images are not uint8.
    """
    if images.dtype != torch.uint8:
        raise TypeError(f"images are {images.dtype}; stored images are torch.uint8")
    return images.to(torch.float32) / 255


def augment(scene: Tensor, settings: Augmentation, generator: torch.Generator) -> Tensor:
    """Shift, rotate and scale each picture at random; darkness comes in at the edges.

    Shift, angle and relative scale are uniform in plus or minus the settings.
    Settings of zero return the scene itself and draw nothing.

    Args:
        scene: (B, C, H, W).
        settings: How far, in pixels and degrees.
        generator: Where the random numbers come from.

    Returns:
        The changed scene, (B, C, H, W), on the same device.
    """
    if settings == Augmentation():
        return scene
    return warp(scene, draw(len(scene), settings, generator))


def draw(count: int, settings: Augmentation, generator: torch.Generator) -> Affine:
    """Draw ``count`` random changes, on the generator's device."""
    uniform = torch.rand(4, count, generator=generator, device=generator.device)
    right, down, turn, growth = 2 * uniform - 1
    return Affine(
        right=right * settings.shift_pixels,
        down=down * settings.shift_pixels,
        angle_radians=turn * math.radians(settings.rotation_degrees),
        scale=1 + growth * settings.scale_fraction,
    )


def warp(scene: Tensor, change: Affine) -> Tensor:
    """Change pictures by interpolating bilinearly; beyond their edges it is dark.

    The content at q from the centre (right, down) goes to ``p = s R(angle) q + t``,
    so the picture at p is read at ``q = R(-angle) (p - t) / s``.

    Args:
        scene: (B, C, H, W).
        change: One change for each picture.
    """
    height, width = scene.shape[-2:]
    right, down, angle, scale = (
        part.to(scene) for part in (change.right, change.down, change.angle_radians, change.scale)
    )
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    # With rows counted downwards, anticlockwise is x' = c x + s y, y' = -s x + c y.
    x_offset = -(cos * right - sin * down)
    y_offset = -(sin * right + cos * down)
    # grid_sample measures from -1 to 1 over the whole width and height:
    # a pixel is 2 / W of that across and 2 / H down.
    rows = (
        torch.stack([cos, -sin * height / width, x_offset * 2 / width], dim=1),
        torch.stack([sin * width / height, cos, y_offset * 2 / height], dim=1),
    )
    grid = F.affine_grid(torch.stack(rows, dim=1), list(scene.shape), align_corners=False)
    return F.grid_sample(scene, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
