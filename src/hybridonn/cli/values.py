"""How a number of a run is written: by its key, in per cent, points, seconds or bytes."""

from __future__ import annotations

from functools import cache
from typing import Any

# Shares that are no measure of a task.
SHARES = (
    *("same_predictions", "same_largest_output", "fraction", "yield", "yield_low", "yield_high"),
    *("efficiency", "efficiency_by_colour", "crosstalk", "crosstalk_worst"),
    *("kernel_error", "kernel_error_worst", "kernel_error_by_colour", "kernel_error_by_branch"),
    *("mean", "lowest", "highest"),
)
POINTS = ("uncertainty", "margin", "drop", "standard_deviation")
HELD_OUT = "held_out"  # whose keys are names of methods


@cache
def _list_shares() -> tuple[str, ...]:
    """Names of the numbers, of any task, that are shares."""
    from hybridonn.tasks.table import TASKS
    from hybridonn.tasks.task import make_task

    return (*(share for name in TASKS for share in make_task(name).shares), *SHARES)


def show(key: str, value: Any) -> str:
    """Write a number for people.

    Args:
        key: Its key in ``results.json``, parents joined by dots; empty: it has none.
        value: The number, a text, or a list of them.
    """
    if isinstance(value, list | tuple):  # an interval, or a number for each class
        return ", ".join(show(key, one) for one in value)
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    if isinstance(value, int | float) and (written := _show_unit(key, value)):
        return written
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _show_unit(key: str, value: float) -> str:
    """A number whose key tells its unit; empty: the key does not."""
    *parents, name = key.split(".")
    if _ends(name, ("seconds",)):
        return f"{value:.1f} s"
    if _ends(name, _list_shares()) or (HELD_OUT in parents and isinstance(value, float)):
        return f"{100 * value:.2f} %"
    if _ends(name, POINTS):
        return f"{100 * value:.2f} points"
    if _ends(name, ("bytes",)):
        return show_bytes(value)
    return f"{value:.3g} us" if "latency_us" in parents else ""


def _ends(name: str, known: tuple[str, ...]) -> bool:
    """Whether a key is one of those known, or one of them behind a word: ``ideal_accuracy``."""
    return any(name == one or name.endswith(f"_{one}") for one in known)


def show_bytes(value: float) -> str:
    """A size with a unit that can be read: 16 bytes, 36.1 kB."""
    unit, factor = next(
        (pair for pair in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)) if value >= pair[1]),
        ("bytes", 1),
    )
    return f"{value / factor:.3g} {unit}"
