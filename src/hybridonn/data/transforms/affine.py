"""Images shifted by parts of a pixel, rotated and scaled."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from hybridonn.spec import Augmentation


@dataclass(frozen=True)
class Affine:
    """How the content of each image is changed, about the image's centre.

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


def draw_affine(count: int, settings: Augmentation, generator: torch.Generator) -> Affine:
    """Draw ``count`` random changes, on the generator's device."""
    uniform = torch.rand(4, count, generator=generator, device=generator.device)
    right, down, turn, growth = 2 * uniform - 1
    return Affine(
        right=right * settings.shift_pixels,
        down=down * settings.shift_pixels,
        angle_radians=turn * math.radians(settings.rotation_degrees),
        scale=1 + growth * settings.scale_fraction,
    )


def warp(
    scene: Tensor, change: Affine, mode: Literal["bilinear", "nearest"] = "bilinear"
) -> Tensor:
    """Change images by interpolation; beyond their edges it is dark.

    The content at q from the centre (right, down) goes to ``p = s R(angle) q + t``,
    so the image at p is read at ``q = R(-angle) (p - t) / s``.

    Args:
        scene: (B, C, H, W), floating point.
        change: One change for each image.
        mode: ``nearest`` keeps the values of masks.
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
    return F.grid_sample(scene, grid, mode=mode, padding_mode="zeros", align_corners=False)


def warp_points(points: Tensor, change: Affine, height: int, width: int) -> Tensor:
    """Where points of images come to lie when the images are changed by :func:`warp`.

    Args:
        points: (B, P, 2), x and y in pixels from the upper left corner.
        change: One change for each image.
        height: Pixels of the images.
        width: Pixels of the images.
    """
    right, down, angle, scale = (
        part.to(points)[:, None]
        for part in (change.right, change.down, change.angle_radians, change.scale)
    )
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    x, y = points[..., 0] - width / 2, points[..., 1] - height / 2
    return torch.stack(
        [cos * x + sin * y + right + width / 2, cos * y - sin * x + down + height / 2], -1
    )
