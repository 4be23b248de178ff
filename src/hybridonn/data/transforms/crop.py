"""Images shifted by whole pixels and flipped: one gather, no interpolation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from hybridonn.core.errors import DataError
from hybridonn.spec import Augmentation
from hybridonn.tasks.task import Move, Task


def crop(
    images: Tensor,
    labels: Tensor,
    task: Task,
    settings: Augmentation,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Shift images at random by whole pixels and flip every other one, labels along with them.

    A shift by up to p pixels is a random window of the image that has p pixels
    more at each edge, dark or reflected about the edge's pixels.

    Args:
        images: (B, C, H, W) of any type.
        labels: (B, ...).
        task: How labels move along with images.
        settings: How far, and whether to flip.
        generator: Where the random numbers come from; unused where nothing is asked for.

    Returns:
        The changed images and labels.

    Raises:
        DataError: A reflected crop is as large as the images.
    """
    if not (settings.crop_pixels or settings.flip):
        return images, labels
    height, width = images.shape[-2:]
    check_crop(settings, height, width)
    device = images.device
    drawn = [part.to(device) for part in _draw(len(images), settings, generator)]
    positions = _positions(drawn, height, width, settings)
    images = _gather(images, positions, settings)
    move = Move(
        lambda maps: _gather(maps, positions.to(maps.device), settings),
        lambda points: _move_points(points, drawn, width, settings.crop_pixels),
        (height, width),
    )
    return images, task.move_labels(labels, move)


def check_crop(settings: Augmentation, height: int, width: int) -> None:
    """Refuse a reflected crop that is as large as the images.

    Raises:
        DataError: It is.
    """
    edge = settings.crop_pixels
    if settings.crop_edge == "reflect" and edge >= min(height, width):
        raise DataError(
            f"augmentation.crop_pixels is {edge} for images of {height} x {width} pixels; "
            "a reflected crop must be smaller than the images, or set crop_edge: dark"
        )


def _draw(count: int, settings: Augmentation, generator: torch.Generator) -> list[Tensor]:
    # First row, first column, flipped: of the window in the enlarged image.
    device = generator.device
    shape, last = (count,), 2 * settings.crop_pixels + 1
    down, right = (
        torch.randint(last, shape, generator=generator, device=device)
        if settings.crop_pixels
        else torch.zeros(shape, dtype=torch.int64, device=device)
        for _ in range(2)
    )
    flipped = torch.zeros(shape, dtype=torch.bool, device=device)
    if settings.flip:
        flipped = torch.randint(2, shape, generator=generator, device=device) == 1
    return [down, right, flipped]


def _positions(drawn: list[Tensor], height: int, width: int, settings: Augmentation) -> Tensor:
    """Where each pixel comes from, (B, H * W), in the flattened image that is gathered from."""
    down, right, flipped = drawn
    rows = torch.arange(height, device=down.device) + down[:, None]
    columns = torch.arange(width, device=down.device).expand(len(down), -1)
    columns = torch.where(flipped[:, None], columns.flip(1), columns) + right[:, None]
    edge = settings.crop_pixels
    if settings.crop_edge == "reflect":
        rows, columns = _reflect(rows - edge, height), _reflect(columns - edge, width)
        stride = width
    else:
        stride = width + 2 * edge
    return (rows[:, :, None] * stride + columns[:, None]).flatten(1)


def _move_points(points: Tensor, drawn: list[Tensor], width: int, edge: int) -> Tensor:
    """Where points (B, P, 2) of the images come to lie; what is mirrored in has none."""
    down, right, flipped = (part.to(points.device)[:, None] for part in drawn)
    x, y = points[..., 0] - right + edge, points[..., 1] - down + edge
    return torch.stack([torch.where(flipped, width - x, x), y], -1)


def _reflect(places: Tensor, size: int) -> Tensor:
    places = places.abs()
    return torch.where(places < size, places, 2 * (size - 1) - places)


def _gather(images: Tensor, positions: Tensor, settings: Augmentation) -> Tensor:
    padded = images
    if settings.crop_edge == "dark" and settings.crop_pixels:
        padded = F.pad(images, (settings.crop_pixels,) * 4)
    channels = images.shape[1]
    index = positions[:, None].expand(-1, channels, -1)
    return padded.flatten(2).gather(2, index).unflatten(2, images.shape[2:])
