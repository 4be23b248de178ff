"""The lines that matter of the numbers of a run: one a stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

MOST_LINES = 10
MOST_OF_A_STAGE = 6

Numbers = Mapping[str, Any]
Show = Callable[[str, Any], str]


def summarise(results: Mapping[str, Numbers], show: Show) -> list[tuple[str, str]]:
    """What is shown of each stage: its name and a line.

    Args:
        results: The numbers by stage, as in ``results.json``.
        show: Writes the value of a key with its unit.
    """
    flat = {stage: dict(flatten(numbers)) for stage, numbers in results.items()}
    whole = {f"{stage}.{key}": value for stage, one in flat.items() for key, value in one.items()}
    if len(flat) == 1 or len(whole) <= MOST_LINES:
        return _choose(whole, show)
    rows = [(stage, LINES.get(stage, _say_first)(one, show)) for stage, one in flat.items()]
    return [(stage.replace("_", " "), line) for stage, line in rows if line]


def _choose(numbers: Numbers, show: Show) -> list[tuple[str, str]]:
    """A number a line, scores first where there are too many."""
    shown = [(key, show(key, value)) for key, value in numbers.items()]
    if len(shown) > MOST_LINES:
        shown.sort(key=lambda pair: not pair[1].endswith("%"))
        more = len(shown) - MOST_LINES
        shown = [*shown[:MOST_LINES], ("...", f"{more} more with --verbose")]
    return shown


def flatten(numbers: Numbers, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The numbers of a nested mapping, their keys joined by dots."""
    for key, value in numbers.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _say(numbers: Numbers, show: Show, *keys: str) -> Iterator[str]:
    """The words of those keys that are there, each ``key`` or ``key=words before the value``."""
    for key in keys:
        name, _, words = key.partition("=")
        if numbers.get(name) is not None:
            yield f"{words} {show(name, numbers[name])}".strip()


def _find_metric(numbers: Numbers) -> str:
    from hybridonn.tasks.table import TASKS
    from hybridonn.tasks.task import make_task

    metrics = (make_task(name).metric for name in TASKS)
    return next((metric for metric in metrics if metric in numbers), "")


def _say_layout(numbers: Numbers, show: Show) -> str:
    return (
        f"{numbers['kernels_used']} kernels on {numbers['sites']} sites "
        f"({numbers['rows']} x {numbers['columns']}); {numbers['kernels']} would fit"
    )


def _say_estimate(numbers: Numbers, show: Show) -> str:
    metric = _find_metric(numbers)
    return " ".join(_say(numbers, show, metric, "uncertainty=+-"))


def _say_teacher(numbers: Numbers, show: Show) -> str:
    return ", ".join(_say(numbers, show, _find_metric(numbers), "name"))


def _say_student(numbers: Numbers, show: Show) -> str:
    keys = (_find_metric(numbers), "method=by", "parameters.digital=digital parameters:")
    return ", ".join(_say(numbers, show, *keys))


def _say_baseline(numbers: Numbers, show: Show) -> str:
    parts = _say(numbers, show, _find_metric(numbers), "teacher_margin=the teacher is better by")
    return ", ".join(parts)


def _say_fabricated(numbers: Numbers, show: Show) -> str:
    return ", ".join(_say(numbers, show, _find_metric(numbers), "drop=lost:", "preset"))


def _say_compensated(numbers: Numbers, show: Show) -> str:
    metric = _find_metric(numbers)
    keys = (metric, "method=kept:", f"uncompensated_{metric}=uncompensated:")
    return ", ".join(_say(numbers, show, *keys, f"calibrated_{metric}=calibrated:"))


def _say_nothing(numbers: Numbers, show: Show) -> str:
    return ""


def _say_first(numbers: Numbers, show: Show) -> str:
    """The first numbers of a stage that has no line of its own."""
    shown = list(numbers.items())[:MOST_OF_A_STAGE]
    return ", ".join(f"{key.replace('_', ' ')} {show(key, value)}" for key, value in shown)


LINES: dict[str, Callable[[Numbers, Show], str]] = {
    "layout": _say_layout,
    "estimate": _say_estimate,
    "teacher": _say_teacher,
    "teacher_targets": _say_nothing,
    "student": _say_student,
    "baseline": _say_baseline,
    "fabricated": _say_fabricated,
    "compensated": _say_compensated,
}
