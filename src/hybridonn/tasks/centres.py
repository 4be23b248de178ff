"""A detector's outputs: a heatmap of centres for each class, and four distances a cell.

After CenterNet (Zhou, Wang and Krähenbühl 2019, arXiv 1904.07850, section 3) with the training
samples of TTFNet (Liu et al. 2020, arXiv 1909.00700, sections 3.2 and 3.3): every cell near a
centre learns the box, weighted by a Gaussian, so that few epochs suffice.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from hybridonn.tasks.boxes import (
    CLASS,
    EDGES,
    find_present,
    generalised_overlap,
    measure_areas,
    pad_boxes,
    suppress,
)

STRIDE = 4  # pixels of the image, along one side, in a cell of the outputs
DISTANCES = 4  # to the left, upper, right and lower edge
SPREAD = 0.54 / 6  # standard deviation of a Gaussian by the side of its box, TTFNet's alpha / 6
NEAR = 0.3  # value of the Gaussian from which on a cell learns the box
MOST_BOXES = 500  # kept of an image; crowded images hold more than the 100 of COCO
LEAST_SCORE = 0.01
SAME_OBJECT = 0.6  # intersection over union of two boxes that are taken for one object
LARGEST_LOG = 6.0  # of a distance in cells: 400 cells


@dataclass(frozen=True)
class Targets:
    """What the outputs of an image should be.

    Attributes:
        heat: Closeness to a centre of each class, 1 at the centre itself, (classes, h, w).
        boxes: Edges of the box that each cell learns, in pixels, (h, w, 4).
        weights: Weight of each cell in the loss of the boxes, of each object 1 in sum, (h, w).
        count: Number of objects.
    """

    heat: Tensor
    boxes: Tensor
    weights: Tensor
    count: int


def place_cells(height: int, width: int, device: torch.device) -> Tensor:
    """The centres of all cells in pixels, (h, w, 2): x and y."""
    y, x = (STRIDE * (torch.arange(side, device=device) + 0.5) for side in (height, width))
    return torch.stack([x.expand(height, -1), y[:, None].expand(-1, width)], -1)


def read_boxes(outputs: Tensor) -> Tensor:
    """The box that each cell states, edges in pixels: (B, classes + 4, h, w) to (B, h, w, 4).

    A distance is the exponential of an output, in cells (Tian et al. 2019, FCOS, section 3.2).
    """
    logs = outputs[:, -DISTANCES:].float().clamp(-LARGEST_LOG, LARGEST_LOG)
    left, top, right, bottom = (STRIDE * logs.exp()).unbind(1)
    height, width = outputs.shape[-2:]
    x, y = place_cells(height, width, outputs.device).unbind(-1)
    return torch.stack([x - left, y - top, x + right, y + bottom], -1)


def draw_targets(boxes: Tensor, classes: int, height: int, width: int) -> Targets:
    """What the outputs should be where an image holds these boxes.

    Args:
        boxes: Classes, edges in pixels and scores, (M, 6).
        classes: Number of classes.
        height: Cells of the outputs.
        width: Cells of the outputs.
    """
    boxes = boxes[find_present(boxes)]
    edges, kinds = boxes[:, EDGES], boxes[:, CLASS].long()
    heat = edges.new_zeros(classes, height, width)
    if not len(boxes):
        nothing = edges.new_zeros(height, width)
        return Targets(heat, edges.new_zeros(height, width, 4), nothing, 0)
    bells = _draw_bells(edges, height, width)
    heat = torch.stack([_highest(bells[kinds == kind]) for kind in range(classes)])
    # The smallest object near a cell owns it: it has the fewest cells.
    areas = torch.where(bells > NEAR, measure_areas(edges)[:, None, None], torch.inf)
    smallest, owner = areas.min(0)
    owned = F.one_hot(owner, len(boxes)).permute(2, 0, 1) * bells * smallest.isfinite()
    shares = owned / owned.sum((1, 2), keepdim=True).clamp_min(1e-6)
    return Targets(heat, edges[owner], shares.sum(0), len(boxes))


def name_cells(labels: Tensor, height: int, width: int) -> Tensor:
    """What each cell shows: 1 + the class of an object whose centre is near, else 0, (B, h, w).

    Args:
        labels: Boxes of each image, (B, M, 6).
        height: Cells of the outputs.
        width: Cells of the outputs.
    """
    classes = 1 + max(0, int(labels[..., CLASS].max())) if labels.numel() else 1
    heats = torch.stack([draw_targets(boxes, classes, height, width).heat for boxes in labels])
    highest, kinds = heats.max(1)
    return torch.where(highest > NEAR, kinds + 1, 0)


def _highest(bells: Tensor) -> Tensor:
    return bells.amax(0) if len(bells) else bells.new_zeros(bells.shape[1:])


def _draw_bells(edges: Tensor, height: int, width: int) -> Tensor:
    """A Gaussian about the cell of each box's centre, 1 there, (M, h, w)."""
    sides = (edges[:, 2:] - edges[:, :2]) / STRIDE
    limits = sides.new_tensor([width - 1, height - 1])
    centres = ((edges[:, :2] + edges[:, 2:]) / (2 * STRIDE)).floor().clamp_min(0)
    x0, y0 = torch.minimum(centres, limits).unbind(1)
    across, down = (SPREAD * sides).clamp_min(1e-3).unbind(1)
    x, y = (torch.arange(side, device=edges.device) for side in (width, height))
    horizontal = torch.exp(-(((x - x0[:, None]) / across[:, None]) ** 2) / 2)
    vertical = torch.exp(-(((y - y0[:, None]) / down[:, None]) ** 2) / 2)
    return vertical[:, :, None] * horizontal[:, None]


def focal_loss(logits: Tensor, heat: Tensor, smoothing: float = 0.0) -> Tensor:
    """The penalty-reduced focal loss of a heatmap, summed over its cells, a scalar.

    Zhou, Wang and Krähenbühl 2019, equation 1, with alpha = 2 and beta = 4.

    Args:
        logits: (..., h, w).
        heat: Closeness to a centre, 1 at the centre itself, (..., h, w).
        smoothing: Share of the truth that goes to the other answer by half.
    """
    chance = logits.sigmoid()
    yes, no = F.softplus(-logits), F.softplus(logits)  # cost of either answer, in nats
    true, false = 1 - smoothing / 2, smoothing / 2
    centre = (1 - chance) ** 2 * (true * yes + false * no)
    elsewhere = (1 - heat) ** 4 * chance**2 * (true * no + false * yes)
    return torch.where(heat == 1, centre, elsewhere).sum()


def box_loss(stated: Tensor, targets: Targets) -> Tensor:
    """``1 - GIoU`` of the boxes that cells state (h, w, 4), in sum 1 an object at most 2."""
    near = targets.weights > 0
    share = generalised_overlap(stated[near], targets.boxes[near])
    return (targets.weights[near] * (1 - share)).sum()


def decode(outputs: Tensor) -> Tensor:
    """The boxes of each image, best first, (B, 500, 6).

    A cell is a peak where its heat is the highest of 3 x 3 cells; of peaks of a class whose
    boxes overlap the best stays.

    Args:
        outputs: (B, classes + 4, h, w).
    """
    logits = outputs[:, :-DISTANCES].float()
    peaks = logits == F.max_pool2d(logits, 3, 1, 1)
    scores = torch.where(peaks, logits.sigmoid(), 0.0)
    limits = STRIDE * torch.tensor([outputs.shape[-1], outputs.shape[-2]] * 2)
    return torch.stack(
        [
            _decode_one(score.cpu(), edges.cpu(), limits)
            for score, edges in zip(scores, read_boxes(outputs), strict=True)
        ]
    ).to(outputs.device)


def _decode_one(scores: Tensor, edges: Tensor, limits: Tensor) -> Tensor:
    best, places = scores.flatten().topk(min(MOST_BOXES, scores.numel()))
    places, best = places[best >= LEAST_SCORE], best[best >= LEAST_SCORE]
    cells = scores[0].numel()
    kinds = places.div(cells, rounding_mode="floor")
    found = torch.minimum(edges.flatten(0, 1)[places % cells].clamp_min(0), limits)
    boxes = torch.cat([kinds[:, None], found, best[:, None]], 1)
    return pad_boxes(suppress(boxes[measure_areas(found) > 0], SAME_OBJECT), MOST_BOXES)
