"""What a study of strategies found: means, differences at equal budgets, and the question."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from types import MappingProxyType
from typing import Any

from hybridonn.studies.compare import paired_difference, say_difference, summarise_values

# In the order of tables and legends.
LABELS: Mapping[str, str] = MappingProxyType(
    {
        "kernels_first": "kernels first",
        "refit": "kernels first, backend refit",
        "lens": "end to end from a lens",
        "lens_cropped": "end to end from a lens, PSFs cropped in training",
        "end_to_end": "end to end from kernels first",
    }
)
BASELINE = "lens"  # what "twice the accuracy" is said of


def summarise(rows: list[dict[str, Any]], metric: str, label: str) -> dict[str, Any]:
    """Means with 95 % intervals by variant and budget, and paired differences at each budget.

    Args:
        rows: A network each: ``variant``, ``epochs``, ``seed``, the metric, ``cropped_`` metric,
            ``seconds`` and ``evaluations``.
        metric: Key of the metric.
        label: What people call it.
    """
    names = [name for name in LABELS if any(row["variant"] == name for row in rows)]
    budgets = sorted({row["epochs"] for row in rows})
    points = [_summarise_point(rows, name, count, metric) for name in names for count in budgets]
    differences = [
        {"epochs": count, "variant": name, "baseline": BASELINE}
        | paired_difference(_take(rows, name, count, metric), _take(rows, BASELINE, count, metric))
        for count in budgets
        for name in names
        if name != BASELINE and BASELINE in names
    ]
    return {
        "metric": metric,
        "label": label,
        "seeds": sorted({row["seed"] for row in rows}),
        "points": points,
        "differences": differences,
        "sentences": [*_say_differences(differences), *_say_twice(rows, names, budgets, metric)],
    }


def _summarise_point(
    rows: list[dict[str, Any]], name: str, epochs: int, metric: str
) -> dict[str, Any]:
    own = [row for row in rows if (row["variant"], row["epochs"]) == (name, epochs)]
    return {
        "variant": name,
        "label": LABELS[name],
        "epochs": epochs,
        "values": [row[metric] for row in own],
        **summarise_values([row[metric] for row in own]),
        "cropped": fmean(row[f"cropped_{metric}"] for row in own),
        "seconds": fmean(row["seconds"] for row in own),
        "evaluations": fmean(row["evaluations"] for row in own),
    }


def _take(rows: list[dict[str, Any]], name: str, epochs: int, metric: str) -> dict[int, float]:
    own = (row for row in rows if (row["variant"], row["epochs"]) == (name, epochs))
    return {row["seed"]: row[metric] for row in own}


def _say_epochs(count: int) -> str:
    return f"{count} epoch{'s' * (count > 1)}"


def _say_differences(differences: list[dict[str, Any]]) -> list[str]:
    return [
        f"{_say_epochs(one['epochs'])}: "
        + say_difference(one | {"method": one["variant"]}, lambda name: LABELS[name])
        for one in differences
    ]


def _say_twice(
    rows: list[dict[str, Any]], names: list[str], budgets: list[int], metric: str
) -> list[str]:
    """Whether kernels first have twice the metric of end to end from a lens, at each budget."""
    if not {"kernels_first", BASELINE} <= set(names):
        return []
    said = []
    for count in budgets:
        first, lens = (_take(rows, name, count, metric) for name in ("kernels_first", BASELINE))
        # First less twice the lens, in pairs: above zero where it is more than twice as good.
        ahead = paired_difference(first, {seed: 2 * value for seed, value in lens.items()})
        verdict = "cannot be told from these seeds"
        if ahead["low"] is not None:
            if ahead["low"] > 0:
                verdict = "holds"
            elif ahead["high"] < 0:
                verdict = "does not hold"
        share = fmean(first.values()) / max(fmean(lens.values()), 1e-12)
        said.append(
            f"{_say_epochs(count)}: kernels first reach {share:.2f} times what end to end "
            f"from a lens does; twice as much {verdict}"
        )
    return said
