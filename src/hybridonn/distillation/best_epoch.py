"""Which epoch of a training is kept: the one rule of training loop, stages and reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def rank_epoch(row: Mapping[str, Any], metric: str) -> tuple[float, float]:
    """The rank of an epoch, highest for the best: the validation score, of equals the lowest loss.

    Args:
        row: One epoch of a history.
        metric: Name of the task's metric.
    """
    return row[f"validation_{metric}"], -row["validation_loss"]


def find_best(history: Sequence[Mapping[str, Any]], metric: str) -> int:
    """Position of the best epoch in a history; of equals the first.

    Args:
        history: A row an epoch, at least one.
        metric: Name of the task's metric.
    """
    return max(range(len(history)), key=lambda place: rank_epoch(history[place], metric))
