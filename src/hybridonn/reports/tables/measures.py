"""Measures of a classification that bear with classes of different size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "auc": "AUC",
}


def list_measures(
    results: Mapping[str, Mapping[str, Any]],
    accuracies: Mapping[str, Sequence[float]] = MappingProxyType({}),
) -> list[tuple[str, ...]]:
    """Each measure with its 95 % interval, in per cent, a column a network; nothing to show: empty.

    Args:
        results: By network, what ``results.json`` holds of it.
        accuracies: By network, the interval of the accuracy where ``results.json`` has none.
    """
    held = [name for name in NAMES if any(name in one for one in results.values())]
    if held in ([], ["accuracy"]):
        return []
    spans = {
        name: {"accuracy": accuracies.get(name), **numbers.get("intervals", {})}
        for name, numbers in results.items()
    }
    rows = [
        (NAMES[name], *(_say(one, name, spans[key].get(name)) for key, one in results.items()))
        for name in held
    ]
    return [("%, with 95 % interval", *results), *rows]


def _say(numbers: Mapping[str, Any], name: str, ends: Sequence[float] | None) -> str:
    if name not in numbers:
        return "–"
    span = f" ({100 * ends[0]:.1f} to {100 * ends[1]:.1f})" if ends else ""
    return f"{100 * numbers[name]:.1f}{span}"
