"""RandAugment (Cubuk et al. 2020): a few changes of each image, drawn from fourteen.

Operations and ranges are those of torchvision's ``RandAugment``, of 31 magnitudes, on scenes in
[0, 1]. The images of a batch that drew the same operation are changed together.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from hybridonn.data.transforms.colour import luma
from hybridonn.tasks.task import Move, Task

MOST = 30  # the largest magnitude
LEVELS = 256

Warp = Callable[[Tensor], Tensor]


def randaugment(
    scene: Tensor,
    labels: Tensor,
    task: Task,
    operations: int,
    magnitude: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Change each image by operations drawn at random, its label along with it where it moves.

    Args:
        scene: (B, C, H, W) in [0, 1].
        labels: Labels of the images.
        task: How labels move along with images.
        operations: How many each image undergoes, one after the other; 0: nothing is drawn.
        magnitude: How strong they are, from 0 to :data:`MOST`.
        generator: Where the random numbers come from.
    """
    part = magnitude / MOST
    for _ in range(operations):
        drawn = torch.rand(2, len(scene), generator=generator, device=generator.device)
        kinds = (drawn[0] * (len(GEOMETRY) + len(COLOURS))).long().to(scene.device)
        signs = torch.where(drawn[1] < 0.5, -1.0, 1.0).to(scene)
        scene, labels = _move(scene, labels, task, kinds, signs * part)
        scene = _recolour(scene, kinds - len(GEOMETRY), signs, part)
    return scene, labels


def _move(
    scene: Tensor, labels: Tensor, task: Task, kinds: Tensor, amounts: Tensor
) -> tuple[Tensor, Tensor]:
    """Shear, shift and rotate the images that drew it, all by one warp; others are as they were."""
    moves = kinds < len(GEOMETRY)
    if not moves.any():
        return scene, labels
    height, width = scene.shape[-2:]
    matrices = torch.eye(2, 3).to(scene).repeat(len(scene), 1, 1)
    for index, make in enumerate(GEOMETRY):
        chosen = kinds == index
        matrices[chosen] = make(amounts[chosen], height, width)

    def warp(maps: Tensor, mode: str) -> Tensor:
        place = matrices.to(maps.device)
        grid = F.affine_grid(place.float(), list(maps.shape), align_corners=False)
        values = F.grid_sample(maps.float(), grid.float(), mode=mode, align_corners=False)
        return torch.where(moves.to(maps.device)[:, None, None, None], values.to(maps), maps)

    move = Move(
        lambda maps: warp(maps, "nearest"),
        lambda points: _move_points(points, matrices, height, width),
        (height, width),
    )
    return warp(scene, "bilinear"), task.move_labels(labels, move)


def _move_points(points: Tensor, matrices: Tensor, height: int, width: int) -> Tensor:
    """Where points (B, P, 2) in pixels come to lie; the matrices say where pixels are read."""
    matrices = matrices.to(points)
    half = points.new_tensor([width, height]) / 2
    places = points / half - 1 - matrices[:, None, :, 2]
    return (places @ torch.linalg.inv(matrices[:, :, :2]).transpose(1, 2) + 1) * half


def _rows(*numbers: Tensor | float, like: Tensor) -> Tensor:
    """Matrices (n, 2, 3) of where each pixel is read, in shares of half the image's sides."""
    full = [one if isinstance(one, Tensor) else torch.full_like(like, one) for one in numbers]
    return torch.stack(full, 1).unflatten(1, (2, 3))


def _shear_x(amount: Tensor, height: int, width: int) -> Tensor:
    return _rows(1.0, 0.3 * amount * height / width, 0.0, 0.0, 1.0, 0.0, like=amount)


def _shear_y(amount: Tensor, height: int, width: int) -> Tensor:
    return _rows(1.0, 0.0, 0.0, 0.3 * amount * width / height, 1.0, 0.0, like=amount)


def _shift_x(amount: Tensor, height: int, width: int) -> Tensor:
    return _rows(1.0, 0.0, 2 * 150 / 331 * amount, 0.0, 1.0, 0.0, like=amount)


def _shift_y(amount: Tensor, height: int, width: int) -> Tensor:
    return _rows(1.0, 0.0, 0.0, 0.0, 1.0, 2 * 150 / 331 * amount, like=amount)


def _rotate(amount: Tensor, height: int, width: int) -> Tensor:
    angle = math.radians(30) * amount
    cos, sin = angle.cos(), angle.sin()
    return _rows(cos, sin * height / width, 0.0, -sin * width / height, cos, 0.0, like=amount)


def _recolour(scene: Tensor, kinds: Tensor, signs: Tensor, part: float) -> Tensor:
    scene = scene.clone()
    for index, change in enumerate(COLOURS):
        chosen = kinds == index
        if chosen.any():
            scene[chosen] = change(scene[chosen], signs[chosen][:, None, None, None], part)
    return scene


def _keep(scene: Tensor, signs: Tensor, part: float) -> Tensor:
    return scene


def _blend(scene: Tensor, base: Tensor, signs: Tensor, part: float) -> Tensor:
    """Away from a base image, or towards it: ``base + (1 +- 0.9 part) (scene - base)``."""
    return (base + (1 + 0.9 * part * signs) * (scene - base)).clamp(0, 1)


def _brighten(scene: Tensor, signs: Tensor, part: float) -> Tensor:
    return _blend(scene, torch.zeros_like(scene), signs, part)


def _saturate(scene: Tensor, signs: Tensor, part: float) -> Tensor:
    return _blend(scene, luma(scene), signs, part)


def _contrast(scene: Tensor, signs: Tensor, part: float) -> Tensor:
    return _blend(scene, luma(scene).mean((2, 3), keepdim=True), signs, part)


def _sharpen(scene: Tensor, signs: Tensor, part: float) -> Tensor:
    """Against PIL's smoothed image, whose edge pixels are left as they are."""
    if min(scene.shape[-2:]) < 3:
        return scene
    kernel = torch.ones(3, 3).to(scene)
    kernel[1, 1] = 5
    weight = (kernel / kernel.sum()).expand(scene.shape[1], 1, 3, 3)
    smooth = scene.clone()
    smooth[..., 1:-1, 1:-1] = F.conv2d(scene, weight, groups=scene.shape[1])
    return _blend(scene, smooth, signs, part)


def _posterise(scene: Tensor, signs: Tensor, part: float) -> Tensor:
    """Keep the upper 8 to 4 bits."""
    step = 2 ** round(4 * part)
    levels = (scene * (LEVELS - 1)).round()
    return (levels / step).floor() * step / (LEVELS - 1)


def _solarise(scene: Tensor, signs: Tensor, part: float) -> Tensor:
    """Invert what is brighter than a threshold from 1 to 0."""
    return torch.where(scene >= 1 - part, 1 - scene, scene) if part else scene


def _stretch(scene: Tensor, signs: Tensor, part: float) -> Tensor:
    """Each channel from its darkest to its brightest value over [0, 1]."""
    low, high = scene.amin((2, 3), keepdim=True), scene.amax((2, 3), keepdim=True)
    span = high - low
    return torch.where(span > 0, (scene - low) / span.clamp_min(1e-12), scene)


def _equalise(scene: Tensor, signs: Tensor, part: float) -> Tensor:
    """Each channel with a flat histogram: a value becomes the share of pixels below it."""
    levels = (scene * (LEVELS - 1)).round().long().flatten(2)
    counts = torch.zeros(*levels.shape[:2], LEVELS).to(scene)
    counts.scatter_add_(2, levels, torch.ones_like(levels, dtype=scene.dtype))
    below = counts.cumsum(2)
    first = (counts > 0).to(torch.uint8).argmax(2, keepdim=True)
    least = below.gather(2, first)
    span = levels.shape[2] - least
    table = ((below - least) / span.clamp_min(1)).clamp(0, 1)
    flat = torch.where(span > 0, table.gather(2, levels), scene.flatten(2))
    return flat.view_as(scene)


GEOMETRY = (_shear_x, _shear_y, _shift_x, _shift_y, _rotate)
COLOURS = (
    *(_keep, _brighten, _saturate, _contrast, _sharpen),
    *(_posterise, _solarise, _stretch, _equalise),
)
