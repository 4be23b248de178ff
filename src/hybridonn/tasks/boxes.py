"""Boxes in images: how they are held as labels, how far they overlap, how they move."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

# The columns of a box: its class, its edges in pixels from the upper left corner of the image, and
# its score, 1 for what is true. The class of a row that holds no box is ABSENT.
CLASS, EDGES, SCORE, COLUMNS = 0, slice(1, 5), 5, 6
ABSENT = -1.0
SHOWN_SCORE = 0.3  # least of a box that is shown or written
KEPT_AREA = 0.3  # of a moved box, a smaller share within the image is no object any more


def find_present(boxes: Tensor) -> Tensor:
    """Which rows of boxes (..., 6) hold a box, (...)."""
    return boxes[..., CLASS] >= 0


def list_shown(boxes: Tensor) -> Tensor:
    """Boxes that are shown of an image, in their order: (M, 6) to (n, 6)."""
    return boxes[find_present(boxes) & (boxes[:, SCORE] >= SHOWN_SCORE)]


def pad_boxes(rows: Tensor, count: int) -> Tensor:
    """Boxes (n, 6), followed by rows without a box, (count, 6)."""
    padded = rows.new_zeros(count, COLUMNS)
    padded[:, CLASS] = ABSENT
    padded[: len(rows)] = rows
    return padded


def measure_areas(edges: Tensor) -> Tensor:
    """Areas of boxes (..., 4) in square pixels, (...)."""
    left, top, right, bottom = edges.unbind(-1)
    return (right - left).clamp_min(0) * (bottom - top).clamp_min(0)


def overlap_pairs(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of each box of (n, 4) with each of (m, 4), (n, m)."""
    return _overlap(first[:, None], second[None])[0]


def generalised_overlap(first: Tensor, second: Tensor) -> Tensor:
    """Generalised intersection over union of boxes (..., 4) with boxes (..., 4), (...).

    Rezatofighi et al. 2019, equation 2 of algorithm 1: ``IoU - (hull - union) / hull``, the hull
    being the smallest box that holds both.
    """
    share, union = _overlap(first, second)
    low = torch.minimum(first[..., :2], second[..., :2])
    high = torch.maximum(first[..., 2:], second[..., 2:])
    hull = (high - low).prod(-1).clamp_min(1e-6)
    return share - (hull - union) / hull


def _overlap(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Intersection over union, and the union in square pixels."""
    low = torch.maximum(first[..., :2], second[..., :2])
    high = torch.minimum(first[..., 2:], second[..., 2:])
    both = (high - low).clamp_min(0).prod(-1)
    union = measure_areas(first) + measure_areas(second) - both
    return both / union.clamp_min(1e-6), union


def bound_points(points: Tensor) -> Tensor:
    """The smallest upright boxes (..., 4) that hold points (..., P, 2)."""
    return torch.cat([points.amin(-2), points.amax(-2)], -1)


def list_corners(edges: Tensor) -> Tensor:
    """The four corners of boxes (..., 4), (..., 4, 2)."""
    left, top, right, bottom = edges.unbind(-1)
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return torch.stack([torch.stack(corner, -1) for corner in corners], -2)


def cut_boxes(boxes: Tensor, height: int, width: int) -> Tensor:
    """Boxes (..., 6) cut at the edges of an image; what is cut away for the most part is no box.

    Args:
        boxes: Classes, edges and scores.
        height: Pixels of the image.
        width: Pixels of the image.
    """
    edges = boxes[..., EDGES]
    limits = edges.new_tensor([width, height, width, height])
    inside = torch.minimum(edges.clamp_min(0), limits)
    area = measure_areas(inside)
    stays = find_present(boxes) & (area > 0) & (area >= KEPT_AREA * measure_areas(edges))
    cut = torch.cat([boxes[..., :1], inside, boxes[..., SCORE:]], -1)
    empty = pad_boxes(boxes.new_zeros(0, COLUMNS), 1)[0]
    return torch.where(stays[..., None], cut, empty)


def suppress(boxes: Tensor, limit: float) -> Tensor:
    """Boxes (n, 6), best first, without those that overlap a better one of their class too much.

    Args:
        boxes: Classes, edges and scores, by falling score.
        limit: Intersection over union above which the worse of two boxes goes.
    """
    same = boxes[:, None, CLASS] == boxes[None, :, CLASS]
    rivals = (overlap_pairs(boxes[:, EDGES], boxes[:, EDGES]) > limit) & same
    rivals = rivals.triu(1).numpy()
    keep = ~np.any(rivals, axis=0)
    # Only a box that a better one overlaps can go, and only if that one stays.
    for index in np.flatnonzero(~keep):
        keep[index] = not (rivals[:, index] & keep).any()
    return boxes[torch.from_numpy(keep)]
