"""IoU of each class by both definitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hybridonn.tasks.iou import Overlap


def list_shares(overlaps: Mapping[str, Overlap], classes: Sequence[str]) -> list[tuple[str, ...]]:
    """IoU of each class by both definitions, in per cent: the header, the classes, their mean.

    Args:
        overlaps: How predicted and true masks cover each other, by network.
        classes: Names of the classes.
    """
    heads = [f"{name}, {how}" for name in overlaps for how in ("images", "pixels")]
    values = [column for one in overlaps.values() for column in (one.by_class, one.pooled)]
    rows = [
        (str(label), *(_percent(float(column[index])) for column in values))
        for index, label in enumerate(classes)
    ]
    means = [
        mean for one in overlaps.values() for mean in (one.scores.mean(), one.pooled.nanmean())
    ]
    return [("IoU (%)", *heads), *rows, ("mIoU", *(_percent(float(one)) for one in means))]


def _percent(share: float) -> str:
    return f"{100 * share:.2f}" if isfinite(share) else "not there"
