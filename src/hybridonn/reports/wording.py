"""Numbers as a reader wants them, and the verdict in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hybridonn.reports.artefacts import Run
from hybridonn.reports.masks import MaskPredictions
from hybridonn.reports.predictions import Predictions

METHODS = {
    "none": "on the task alone, without distillation",
    "kd": "by knowledge distillation (KD)",
    "ntkd": "by neural tangent knowledge distillation (NTKD)",
}
MANY_IMAGES = 1000  # from here on a second decimal of a per cent is more than one image


def percent(share: float, total: int = MANY_IMAGES) -> str:
    """A share in per cent, with as many decimals as so many test images bear."""
    return f"{100 * share:.{2 if total >= MANY_IMAGES else 1}f} %"


def interval(predictions: Predictions | MaskPredictions) -> str:
    """The 95 % interval of an accuracy or mIoU, in per cent."""
    low, high = predictions.interval
    return f"{percent(low, predictions.total)[:-2]} to {percent(high, predictions.total)}"


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


def describe_run(run: Run) -> list[str]:
    """The verdict: what was reached, with what, and how it compares with the teacher."""
    student = run.models["student"].predictions
    method = str(look_up(run.results, "student.method"))
    sentences = [
        f"On the {student.total:,} test images of {run.record['data'].get('name', 'the data')}, "
        f"the hybrid optical network reaches {percent(student.value, student.total)} "
        f"{student.metric} (95 % interval {interval(student)}). It was trained "
        f"{METHODS.get(method, f'by the method {method}')}, with {_describe_hardware(run)}."
    ]
    if "teacher" in run.models:
        sentences += _compare_with_teacher(run) + _judge_teacher(run)
    else:
        sentences.append("This run has no teacher to compare with.")
    return sentences


def _describe_hardware(run: Run) -> str:
    count, _, height, width = run.kernels.shape
    optical = f"{count} optical kernel{'s' * (count != 1)} of {height} × {width}"
    digital = look_up(run.results, "student.parameters.digital")
    return optical if digital is None else f"{optical} and {number(digital)} digital parameters"


def _compare_with_teacher(run: Run) -> list[str]:
    def points(difference: float) -> str:
        return f"{percent(difference, student.total)[:-2]} points"

    student, teacher = run.models["student"].predictions, run.models["teacher"].predictions
    name = look_up(run.results, "teacher.name")
    who = f"teacher, {name}," if name else "teacher"
    reached = f"{percent(teacher.value, teacher.total)} ({interval(teacher)})"
    gap = teacher.value - student.value
    if gap <= 0:
        level = "exactly as good as" if gap == 0 else f"{points(-gap)} worse than"
        sentences = [
            f"The {who} reaches {reached}: it is {level} the student. "
            "Distilling from a teacher that is not better promises little; train a better "
            "teacher, or compare with the task alone."
        ]
    else:
        kept = percent(student.value / teacher.value, student.total)
        sentences = [
            f"Its {who} reaches {reached}: the student keeps {kept} of the teacher's "
            f"{teacher.metric} and lies {points(gap)} below it."
        ]
    if _overlap(student, teacher):
        sentences.append(
            f"The two intervals overlap: {student.total:,} test images do not settle "
            "how far apart the two networks are."
        )
    return sentences


def _judge_teacher(run: Run) -> list[str]:
    """How far the teacher is above the student that learnt without it, where there is one."""
    margin = look_up(run.results, "untaught.teacher_margin")
    if margin is None:
        return []
    student = run.models["student"].predictions
    key = "miou" if isinstance(student, MaskPredictions) else "accuracy"
    alone = look_up(run.results, f"untaught.{key}")
    points = f"{percent(abs(margin), student.total)[:-2]} points"
    head = (
        f"The same student trained on the task alone, without any teacher, reaches "
        f"{percent(alone, student.total)}"
    )
    if margin < 0:
        return [
            f"{head}, and the teacher lies {points} below that: this teacher is bad for its "
            "task. Train a better one before distilling from it."
        ]
    gain = student.value - alone
    side = "more" if gain > 0 else "less"
    with_it = f"{percent(abs(gain), student.total)[:-2]} points {side}"
    return [
        f"{head}; the teacher lies {points} above that, and the student that it taught reaches "
        f"{with_it}."
    ]


def _overlap(first: Predictions | MaskPredictions, second: Predictions | MaskPredictions) -> bool:
    low, high = first.interval
    other_low, other_high = second.interval
    return low <= other_high and other_low <= high
