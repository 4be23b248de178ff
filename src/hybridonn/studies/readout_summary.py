"""Where optics buy something: read-outs of ideal kernels against those of a plain lens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hybridonn.studies.compare import paired_difference, summarise_values
from hybridonn.studies.optics_choice import IDEAL, LENS

POINT = ("optics", "kernels", "pooled_size", "bits")
SIZES = ("numbers", "bits_read", "digital_parameters", "macs")
SAME_SIZE, NO_MORE = "same_pooled_size", "no_more_numbers"


def summarise(rows: Sequence[dict[str, Any]], metric: str) -> dict[str, Any]:
    """Means by read-out, and the paired differences of ideal kernels and a lens.

    Ideal kernels are compared with the lens of the same pooled size, which reads fewer numbers, and
    with the best lens that reads no more numbers; both have the same bits. The best is the one of
    the highest mean on the test images, which favours the lens.

    Args:
        rows: A student each: the point, ``seed``, the metric and sizes.
        metric: The key of what is compared.

    Returns:
        ``points``, each with its place in the grid, sizes, values, mean and 95 % interval, and, of
        ideal kernels, differences under ``same_pooled_size`` and ``no_more_numbers``, or None
        where there is no such lens; ``seeds``; ``sentences``.
    """
    points = _gather(rows, metric)
    lenses = [one for one in points if one["optics"] == LENS]
    for one in points:
        if one["optics"] == IDEAL:
            _compare(one, [lens for lens in lenses if lens["bits"] == one["bits"]])
    return {
        "seeds": sorted({row["seed"] for row in rows}),
        "points": [one | {"values": list(one["values"].values())} for one in points],
        "sentences": _say(points),
    }


def tabulate(points: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row a read-out: place in the grid, sizes, mean, interval, and differences to a lens.

    Args:
        points: From :func:`summarise`.
    """
    numbers = ("mean", "low", "high", "standard_deviation")
    return [
        {key: one[key] for key in (*POINT, *SIZES, *numbers)}
        | {
            f"{name}.{key}": (one.get(name) or {}).get(key)
            for name in (SAME_SIZE, NO_MORE)
            for key in ("mean", "low", "high", "lens_pooled_size")
        }
        for one in points
    ]


def _gather(rows: Sequence[dict[str, Any]], metric: str) -> list[dict[str, Any]]:
    """A point each, with its values by seed."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        place = tuple(row[key] for key in POINT)
        sizes = {key: row[key] for key in (*POINT, *SIZES)}
        one = found.setdefault(place, sizes | {"values": {}})
        one["numbers"] = max(one["numbers"], row["numbers"])
        one["values"][row["seed"]] = row[metric]
    for one in found.values():
        one |= summarise_values(list(one["values"].values()))
    return list(found.values())


def _compare(ideal: dict[str, Any], lenses: list[dict[str, Any]]) -> None:
    """Add to a point of ideal kernels its differences to lenses of the same bits."""
    same = [one for one in lenses if one["pooled_size"] == ideal["pooled_size"]]
    fewer = [one for one in lenses if one["numbers"] <= ideal["numbers"]]
    for name, candidates in ((SAME_SIZE, same), (NO_MORE, fewer)):
        lens = max(candidates, key=lambda one: one["mean"], default=None)
        ideal[name] = lens and {
            **paired_difference(ideal["values"], lens["values"]),
            "lens_pooled_size": lens["pooled_size"],
            "lens_numbers": lens["numbers"],
        }


def _say(points: list[dict[str, Any]]) -> list[str]:
    """How often ideal kernels are ahead of a lens, behind it, or neither."""
    against = {
        SAME_SIZE: "the lens of the same pooled size, which reads fewer numbers",
        NO_MORE: "the best lens that reads no more numbers",
    }
    said = []
    for name, what in against.items():
        found = [one[name] for one in points if one.get(name) and one[name]["low"] is not None]
        if found:
            ahead = sum(one["low"] > 0 for one in found)
            behind = sum(one["high"] < 0 for one in found)
            said.append(
                f"ideal kernels against {what}: ahead at {ahead} of {len(found)} read-outs, "
                f"behind at {behind}, not distinguishable at {len(found) - ahead - behind}"
            )
    return said
