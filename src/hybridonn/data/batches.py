"""From stored images to scenes, and random changes of both for training."""

from __future__ import annotations

import torch
from torch import Tensor

from hybridonn.data.dataset import ImageSet
from hybridonn.data.transforms.affine import Affine, draw_affine, warp, warp_points
from hybridonn.data.transforms.colour import recolour
from hybridonn.data.transforms.crop import crop
from hybridonn.data.transforms.erasing import erase
from hybridonn.data.transforms.randaugment import randaugment
from hybridonn.spec import Augmentation
from hybridonn.tasks.classification import Classification
from hybridonn.tasks.task import Move, Task


def to_scene(images: Tensor) -> Tensor:
    """Radiance of images: (B, C, H, W) uint8 to float32 in [0, 1].

    Raises:
        TypeError: The images are not uint8.
    """
    if images.dtype != torch.uint8:
        raise TypeError(f"images are {images.dtype}; stored images are torch.uint8")
    return images.to(torch.float32).div_(255)


def load_batch(
    part: ImageSet,
    indices: Tensor,
    task: Task,
    settings: Augmentation,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Some images of a set as a scene with their labels, changed at random for training.

    The same as :func:`augment_pair` of the images as a scene, but crops and flips
    move the stored bytes, a quarter of the memory.

    Args:
        part: Where the images come from.
        indices: Which ones, (B,), int64.
        task: How their labels move along with them.
        settings: How far they are changed.
        generator: Where the random numbers come from.

    Returns:
        The scene, (B, C, H, W) in [0, 1], and the labels, (B, ...).
    """
    some = part.take(indices)
    images, labels = crop(some.images, some.labels, task, settings, generator)
    return _augment_cropped(to_scene(images), labels, task, settings, generator)


def augment(scene: Tensor, settings: Augmentation, generator: torch.Generator) -> Tensor:
    """Change each image of a scene at random, as :func:`augment_pair` does.

    Args:
        scene: (B, C, H, W).
        settings: How far.
        generator: Where the random numbers come from.

    Returns:
        The changed scene, (B, C, H, W), on the same device.
    """
    unmoved = Classification()
    return augment_pair(scene, torch.zeros(len(scene)), unmoved, settings, generator)[0]


def augment_pair(
    scene: Tensor,
    labels: Tensor,
    task: Task,
    settings: Augmentation,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Change each image at random, and its label along with it.

    In this order: crop and flip; shift, rotation and scale; colour; RandAugment;
    erasing. A label a pixel is moved as its image is, and never interpolated; what comes in at its
    edges is 0, except for a reflected crop. Shift, angle, relative scale and the
    factors of colour are uniform in plus or minus the settings. A setting of
    zero changes nothing and draws nothing.

    Args:
        scene: (B, C, H, W).
        labels: (B, ...).
        task: How labels move along with images.
        settings: How far.
        generator: Where the random numbers come from.

    Returns:
        The changed scene and labels, on the same devices.
    """
    scene, labels = crop(scene, labels, task, settings, generator)
    return _augment_cropped(scene, labels, task, settings, generator)


def _augment_cropped(
    scene: Tensor,
    labels: Tensor,
    task: Task,
    settings: Augmentation,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    if settings.shift_pixels or settings.rotation_degrees or settings.scale_fraction:
        change = draw_affine(len(scene), settings, generator)
        scene = warp(scene, change)
        size = scene.shape[2], scene.shape[3]
        move = Move(
            lambda maps: _warp_maps(maps, change),
            lambda points: warp_points(points, change, *size),
            size,
        )
        labels = task.move_labels(labels, move)
    scene = recolour(scene, settings, generator)
    if settings.randaugment_operations:
        strength = settings.randaugment_operations, settings.randaugment_magnitude
        scene, labels = randaugment(scene, labels, task, *strength, generator)
    return erase(scene, settings.erasing_probability, generator), labels


def _warp_maps(maps: Tensor, change: Affine) -> Tensor:
    # float32 holds every class of a uint8 mask exactly.
    return warp(maps.to(torch.float32), change, "nearest").to(maps.dtype)
