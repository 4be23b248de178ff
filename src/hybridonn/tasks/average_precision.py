"""Average precision of boxes: of each image, and of a whole set by faster-coco-eval."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from hybridonn.core.errors import DataError
from hybridonn.tasks.boxes import CLASS, EDGES, SCORE, find_present, list_shown, overlap_pairs

MOST_DETECTIONS = 500  # of an image, the best; COCO counts 100
HALF = 0.5  # intersection over union from which on a box is found, for AP50
RECALLS = np.linspace(0, 1, 101)  # at which the precision is read, as COCO does


def score_images(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """AP50 of each image alone, the mean over its classes, (N,), float64.

    A class without a true box in the image counts as 0 if a box of it is shown, that is with a
    score of 0.3 or more, and is else left out: fainter boxes cost a class as little as in COCO's
    AP, where they come last. An image without boxes in which none is shown counts as 1.

    Args:
        predicted: Boxes that were found, (N, K, 6).
        labels: True boxes, (N, M, 6).
        classes: Number of classes.
    """
    pairs = zip(predicted.cpu(), labels.cpu(), strict=True)
    scores = [_score_image(*pair, classes) for pair in pairs]
    return torch.tensor(scores, dtype=torch.float64)


def _score_image(found: Tensor, truth: Tensor, classes: int) -> float:
    found, truth = found[find_present(found)], truth[find_present(truth)]
    values = []
    for kind in range(classes):
        said, real = found[found[:, CLASS] == kind], truth[truth[:, CLASS] == kind]
        if len(real) or len(list_shown(said)):
            values.append(_precision_of_class(said, real))
    return float(np.mean(values)) if values else 1.0


def _precision_of_class(found: Tensor, truth: Tensor) -> float:
    if not len(found) or not len(truth):
        return 0.0
    found = found[found[:, SCORE].argsort(descending=True, stable=True)]
    hits = match_boxes(overlap_pairs(found[:, EDGES], truth[:, EDGES]).numpy(), HALF)
    return average_precision(hits, len(truth))


def match_boxes(overlaps: np.ndarray, limit: float) -> np.ndarray:
    """Which of the boxes found, best first, are hits, (n,) bool: each true box counts once.

    Args:
        overlaps: Intersection over union with each true box, (n, m).
        limit: The overlap from which on a box is found.
    """
    free = overlaps.copy()
    hits = np.zeros(len(free), dtype=bool)
    for index in np.flatnonzero((free >= limit).any(1)):
        best = int(free[index].argmax())
        hits[index] = free[index, best] >= limit
        if hits[index]:
            free[:, best] = -1
    return hits


def share_matched(first: Tensor, second: Tensor) -> float:
    """The share of shown boxes of two predictions that have a partner in the other, of images.

    Partners have one class and overlap by half. Where neither shows a box, they agree: 1.

    Args:
        first: Boxes of each image, (N, K, 6).
        second: Boxes of the same images, (N, M, 6).
    """
    matched = count = 0
    for boxes, others in zip(first.cpu(), second.cpu(), strict=True):
        shown, there = list_shown(boxes), list_shown(others)
        same = shown[:, None, CLASS] == there[None, :, CLASS]
        overlaps = overlap_pairs(shown[:, EDGES], there[:, EDGES]) * same
        matched += 2 * int(match_boxes(overlaps.numpy(), HALF).sum()) if overlaps.numel() else 0
        count += len(shown) + len(there)
    return matched / count if count else 1.0


def average_precision(hits: np.ndarray, count: int) -> float:
    """Mean of the precision at 101 recalls, each the highest at this recall or a larger one.

    Args:
        hits: Which of the boxes found, best first, are hits, (n,).
        count: Number of true boxes, at least 1.
    """
    found = np.cumsum(hits)
    precision = np.maximum.accumulate((found / np.arange(1, len(hits) + 1))[::-1])[::-1]
    places = np.searchsorted(found / count, RECALLS, side="left")
    return float(np.where(places < len(hits), precision[places.clip(max=len(hits) - 1)], 0).mean())


def measure_precision(predicted: Tensor, labels: Tensor, classes: int) -> dict[str, float]:
    """AP50, AP and AP of small, medium and large objects of a whole set, by faster-coco-eval.

    AP is the mean over classes and over limits of the overlap from 0.5 to 0.95. A size of which
    there is no object is left out; without any object there is no AP.

    Args:
        predicted: Boxes that were found, (N, K, 6).
        labels: True boxes, (N, M, 6).
        classes: Number of classes.

    Raises:
        DataError: faster-coco-eval is not installed.
    """
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError:
        raise DataError(
            "average precision needs faster-coco-eval, which is not installed; install it with: "
            "pip install 'hybridonn[detection]'"
        ) from None
    reference, found = COCO(_describe(labels, classes)), _list_boxes(predicted)
    if not reference.anns:
        return {}
    evaluation = COCOeval_faster(reference, reference.loadRes(found), "bbox")
    evaluation.params.maxDets = [MOST_DETECTIONS]
    evaluation.evaluate()
    evaluation.accumulate()
    # By limit of the overlap (0.5 first), recall, class, size (all first) and number of boxes.
    precision = evaluation.eval["precision"][..., 0]
    parts = {
        "ap50": precision[0, ..., 0],
        "ap": precision[..., 0],
        "ap_small": precision[..., 1],
        "ap_medium": precision[..., 2],
        "ap_large": precision[..., 3],
    }
    # A class of which there is no object has the precision -1.
    known = {name: part[part > -1] for name, part in parts.items()}
    return {name: float(part.mean()) for name, part in known.items() if part.size}


def _describe(labels: Tensor, classes: int) -> dict[str, list[dict[str, Any]]]:
    """True boxes as COCO's json has them."""
    return {
        "images": [{"id": index} for index in range(len(labels))],
        "categories": [{"id": kind, "name": str(kind)} for kind in range(classes)],
        # An annotation of number 0 would be taken for none.
        "annotations": [
            box | {"id": number, "iscrowd": 0} for number, box in enumerate(_list_boxes(labels), 1)
        ],
    }


def _list_boxes(boxes: Tensor) -> list[dict[str, Any]]:
    rows = []
    for image, some in enumerate(boxes.cpu().double()):
        for kind, left, top, right, bottom, score in some[find_present(some)].tolist():
            wide, high = right - left, bottom - top
            rows.append(
                {
                    "image_id": image,
                    "category_id": int(kind),
                    "bbox": [left, top, wide, high],
                    "area": wide * high,
                    "score": score,
                }
            )
    return rows
