"""IoU of each class by both definitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hybridonn.reports.artefacts.masks import MaskPredictions


def list_shares(
    predictions: Mapping[str, MaskPredictions], classes: Sequence[str]
) -> list[tuple[str, ...]]:
    """IoU of each class by both definitions, in per cent: the header, the classes, their mean."""
    names = list(predictions)
    heads = [f"{name}, {how}" for name in names for how in ("images", "pixels")]
    values = [
        column for name in names for column in (predictions[name].by_class, predictions[name].whole)
    ]
    rows = [
        (str(label), *(_percent(column[index]) for column in values))
        for index, label in enumerate(classes)
    ]
    means = [mean for name in names for mean in (predictions[name].value, predictions[name].whole)]
    return [
        ("IoU (%)", *heads),
        *rows,
        ("mIoU", *(_percent(float(np.nanmean(one))) for one in means)),
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.2f}" if np.isfinite(share) else "not there"
