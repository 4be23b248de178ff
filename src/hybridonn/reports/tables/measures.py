"""Measures of a classification that bear with classes of different size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "auc": "AUC",
}


def list_measures(results: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Each measure with its 95 % interval, in per cent, a column a network; nothing to show: empty.

    Args:
        results: By network, what ``results.json`` holds of it.
    """
    held = [name for name in NAMES if any(name in one for one in results.values())]
    if held in ([], ["accuracy"]):
        return []
    rows = [(NAMES[name], *(_say(one, name) for one in results.values())) for name in held]
    return [("%, with 95 % interval", *results), *rows]


def _say(numbers: Mapping[str, Any], name: str) -> str:
    if name not in numbers:
        return "–"
    ends = numbers.get("intervals", {}).get(name)
    span = f" ({100 * ends[0]:.1f} to {100 * ends[1]:.1f})" if ends else ""
    return f"{100 * numbers[name]:.1f}{span}"
