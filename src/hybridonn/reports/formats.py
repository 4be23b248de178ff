"""Numbers as a reader wants them: per cent, points, intervals, times, trees."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hybridonn.reports.artefacts.predictions import Predictions
from hybridonn.reports.statistics import Difference

MANY_IMAGES = 1000  # from here on a second decimal of a per cent is more than one image
LEAST = 1e-5  # smaller differences are of rounding: a set of 100,000 test images has none


def decimals(total: int) -> int:
    """Decimals of a per cent that so many test images bear."""
    return 2 if total >= MANY_IMAGES else 1


def percent(share: float, total: int = MANY_IMAGES) -> str:
    """A share in per cent, with as many decimals as so many test images bear."""
    return f"{100 * share:.{decimals(total)}f} %"


def span(ends: tuple[float, float] | None, total: int) -> str:
    """An interval of shares in per cent: ``95.0 to 98.5 %``; a dash where there is none."""
    if ends is None:
        return "–"
    return f"{percent(ends[0], total)[:-2]} to {percent(ends[1], total)}"


def interval(predictions: Predictions) -> str:
    """The 95 % interval of the metric, in per cent."""
    return span(predictions.interval, predictions.total)


def points(difference: float, total: int) -> str:
    """The size of a difference of shares: ``1.4 points``."""
    return f"{percent(abs(difference), total)[:-2]} points"


def signed(difference: float, total: int) -> str:
    """A difference of shares in points, with its sign."""
    if abs(difference) <= LEAST:
        return "±0"
    return ("−" if difference < 0 else "+") + percent(abs(difference), total)[:-2]


def signed_span(difference: Difference, total: int) -> str:
    """The 95 % interval of a difference in points: ``+0.2 to +2.8``; of one pair none."""
    if difference.low is None or difference.high is None:
        return "one pair: no interval"
    return f"{signed(difference.low, total)} to {signed(difference.high, total)}"


def duration(seconds: float) -> str:
    """A time that a person can take in."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def moment(text: str) -> str:
    """A time stamp of the record for the eye; what is no ISO time stays as it is."""
    from datetime import datetime

    try:
        return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M %Z}".strip()
    except (TypeError, ValueError):
        return str(text)


def number(value: Any) -> str:
    """A value of results.json or record.json, for a table."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, list):
        return ", ".join(map(number, value))
    return str(value)


def flatten(tree: dict[str, Any], parent: str = "") -> Iterator[tuple[str, Any]]:
    """(key, value) of every leaf, keys joined by dots."""
    for key, value in tree.items():
        name = f"{parent}.{key}" if parent else str(key)
        if isinstance(value, dict):
            yield from flatten(value, name)
        else:
            yield name, value


def look_up(tree: dict[str, Any], key: str) -> Any:
    """The value under a dotted key; None where there is none."""
    for name in key.split("."):
        if not isinstance(tree, dict) or name not in tree:
            return None
        tree = tree[name]
    return tree
