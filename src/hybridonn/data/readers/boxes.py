"""Boxes as files state them: checked against their image, brought to its size."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hybridonn.tasks.boxes import COLUMNS, EDGES, cut_boxes, find_present, pad_boxes

if TYPE_CHECKING:
    from hybridonn.data.readers.image_files import Shape, Target


@dataclass(frozen=True)
class Box:
    """An object of an image as a file states it.

    Attributes:
        kind: Number of its class.
        left: Pixels of the stored image, from its upper left corner.
        top: Likewise.
        right: Likewise.
        bottom: Likewise.
        place: The file and the object in it, for messages.
    """

    kind: int
    left: float
    top: float
    right: float
    bottom: float
    place: str


def find_box_fault(
    boxes: Sequence[Box], shape: Shape, drawn_on: tuple[float, float, str] | None = None
) -> str | None:
    """What is wrong with the boxes of an image, the first fault; None: nothing.

    Args:
        boxes: As they are stated.
        shape: Facts of their image.
        drawn_on: Width and height of the image that they were drawn on, in pixels, and where that
            is stated; None: it is not.
    """
    if boxes and shape.turned:
        return (
            f"{boxes[0].place} is about an image that says that it is to be shown {shape.turned}, "
            "and boxes do not say whether they are turned; save it upright"
        )
    if boxes and drawn_on and drawn_on[:2] != (shape.width, shape.height):
        width, height, place = drawn_on
        return (
            f"{place} has boxes of an image of {width:g} x {height:g} pixels (width x height), but "
            f"the image's file has {shape.width} x {shape.height}; scale the boxes with the image, "
            "or take the image that they were drawn on"
        )
    faults = (_find_fault(box, shape) for box in boxes)
    return next((fault for fault in faults if fault), None)


def _find_fault(box: Box, shape: Shape) -> str | None:
    edges = (box.left, box.top, box.right, box.bottom)
    said = (
        f"{box.place} has a box from ({box.left:g}, {box.top:g}) to ({box.right:g}, {box.bottom:g})"
    )
    if not all(map(math.isfinite, edges)):
        return f"{said}; its edges must be finite numbers"
    if box.right == box.left or box.bottom == box.top:
        return f"{said}, of zero size; give it a width and a height, or take it away"
    if box.right < box.left or box.bottom < box.top:
        return f"{said}, inverted; the left and upper edge come first"
    if min(box.left, box.top) < 0 or box.right > shape.width or box.bottom > shape.height:
        return f"{said}, beyond its image of {shape.width} x {shape.height} pixels (width x height)"
    return None


def place_boxes(boxes: Sequence[Box], shape: Shape, target: Target) -> list[list[float]]:
    """Classes and edges of boxes in the pixels of the image once it is brought to its size.

    What the image loses at its edges is cut; of a box that loses most, nothing stays.

    Args:
        boxes: As they are stated.
        shape: Facts of their image as it is stored.
        target: What the image becomes.
    """
    across, down, right, low = _find_scale(shape, target)
    rows = [
        [
            float(box.kind),
            *(box.left * across + right, box.top * down + low),
            *(box.right * across + right, box.bottom * down + low),
            1.0,
        ]
        for box in boxes
    ]
    placed = torch.tensor(rows, dtype=torch.float64).reshape(-1, COLUMNS)
    placed = cut_boxes(placed, target.height, target.width)
    return placed[find_present(placed)].tolist()


def restore_boxes(boxes: Tensor, shape: Shape, target: Target) -> Tensor:
    """Boxes of an image that was brought to its size, in the pixels of the image as it is stored.

    The inverse of :func:`place_boxes`; what lies beyond the stored image is cut.

    Args:
        boxes: Classes, edges and scores, (n, 6).
        shape: Facts of the image as it is stored.
        target: What the image became.
    """
    across, down, right, low = _find_scale(shape, target)
    shifts = boxes.new_tensor([right, low] * 2)
    scales = boxes.new_tensor([across, down] * 2)
    limits = boxes.new_tensor([shape.width, shape.height] * 2)
    edges = ((boxes[:, EDGES] - shifts) / scales).clamp_min(0)
    return torch.cat([boxes[:, :1], torch.minimum(edges, limits), boxes[:, -1:]], 1)


def _find_scale(shape: Shape, target: Target) -> tuple[float, float, float, float]:
    """Scale across and down, then shift to the right and down, as ``image_files.resize`` has it."""
    across, down = target.width / shape.width, target.height / shape.height
    if target.resize == "stretch" or across == down:
        return across, down, 0.0, 0.0
    if target.resize == "crop":
        scale = max(across, down)
        right, low = (target.width - shape.width * scale), (target.height - shape.height * scale)
        return scale, scale, right / 2, low / 2
    scale = min(across, down)
    wide, high = (max(1, round(side * scale)) for side in (shape.width, shape.height))
    right, low = (target.width - wide) // 2, (target.height - high) // 2
    return wide / shape.width, high / shape.height, float(right), float(low)


def stack_boxes(images: Iterable[Sequence[Sequence[float]]]) -> Tensor:
    """Labels of detection, (N, M, 6) float32, M being the most boxes of an image, at least 1."""
    rows = [torch.tensor(one, dtype=torch.float32).reshape(-1, COLUMNS) for one in images]
    most = max([1, *map(len, rows)])
    return torch.stack([pad_boxes(one, most) for one in rows])
