"""The verdict in words: what was reached, with what, behind which optics, beside which teacher."""

from __future__ import annotations

from hybridonn.distillation.methods import CURE_OF_BEHIND, METHODS, find_method, is_own_code
from hybridonn.reports.artefacts.predictions import Predictions
from hybridonn.reports.artefacts.run import Run
from hybridonn.reports.formats import (
    interval,
    look_up,
    number,
    percent,
    points,
    signed_span,
)
from hybridonn.reports.sections.all import list_sections
from hybridonn.reports.statistics import Difference, score_difference


def describe_run(run: Run) -> list[str]:
    """The verdict: the student, its optics as designed and as fabricated, and the teacher."""
    student = run.models["student"].predictions
    method = str(look_up(run.results, "student.method"))
    kind = "all-digital network" if run.layout is None else "hybrid optical network"
    ideal = " with ideal optics" if run.optics or run.chip else ""
    sentences = [
        f"On the {student.total:,} test images of {run.record['data'].get('name', 'the data')}, "
        f"the {kind} reaches {percent(student.value, student.total)} "
        f"{run.task.label} (95 % interval {interval(student)}){ideal}. It was trained "
        f"{_say_method(method)}, with {_describe_hardware(run)}."
    ]
    sentences += [one for section in list_sections(run) for one in section.verdict(run)]
    if "teacher" not in run.models:
        return [*sentences, "This run has no teacher to compare with."]
    return [*sentences, *_compare_with_teacher(run), *_judge_teacher(run)]


def _say_method(method: str) -> str:
    known = method in METHODS or is_own_code(method)
    return find_method(method).trained if known else f"by the method {method}"


def compare_networks(predictions: Predictions, baseline: Predictions) -> Difference:
    """How far a network is ahead of another one on the same test images."""
    return score_difference(predictions.scores, baseline.scores)


def _describe_hardware(run: Run) -> str:
    sizes = [(branch.kernels, branch.kernel_size) for _, branch in run.branches]
    total = sum(count for count, _ in sizes)
    each = {size for _, size in sizes}
    kind = "digital" if run.layout is None else "optical"
    optical = f"{total} {kind} kernel{'s' * (total != 1)}"
    if len(each) == 1:
        optical += f" of {sizes[0][1]} × {sizes[0][1]}"
    else:
        optical += f" ({', '.join(f'{count} of {size} × {size}' for count, size in sizes)})"
    digital = look_up(run.results, "student.parameters.digital")
    return optical if digital is None else f"{optical} and {number(digital)} digital parameters"


def _compare_with_teacher(run: Run) -> list[str]:
    student, teacher = run.models["student"].predictions, run.models["teacher"].predictions
    name = look_up(run.results, "teacher.name")
    who = f"teacher, {name}," if name else "teacher"
    reached = f"{percent(teacher.value, teacher.total)} ({interval(teacher)})"
    gap = teacher.value - student.value
    sure = _say_sure(compare_networks(student, teacher), student.total)
    if gap <= 0:
        level = "exactly as good as" if gap == 0 else f"{points(gap, student.total)} worse than"
        return [
            f"The {who} reaches {reached}: it is {level} the student{sure}. "
            "Distilling from a teacher that is not better promises little; train a better "
            "teacher, or compare with the task alone."
        ]
    kept = percent(student.value / teacher.value, student.total)
    return [
        f"Its {who} reaches {reached}: the student keeps {kept} of the teacher's "
        f"{run.task.label} and lies {points(gap, student.total)} below it{sure}."
    ]


def _say_sure(difference: Difference, total: int) -> str:
    """The interval of student less teacher, and whether the test images tell the two apart."""
    apart = "" if difference.clear else f"; {total:,} test images do not tell the two apart"
    return (
        f" (student less teacher on the same images, 95 %: {signed_span(difference, total)} "
        f"points{apart})"
    )


def _judge_teacher(run: Run) -> list[str]:
    """How far the teacher is above the baseline, where there is one."""
    margin = look_up(run.results, "baseline.teacher_margin")
    if margin is None:
        return []
    student = run.models["student"].predictions
    alone = look_up(run.results, f"baseline.{run.task.metric}")
    far = points(margin, student.total)
    head = (
        f"The same student trained on the task alone, without any teacher, reaches "
        f"{percent(alone, student.total)}"
    )
    if margin < 0:
        return [
            f"{head}, and the teacher lies {far} below that: this teacher is bad for its "
            "task. Train a better one before distilling from it."
        ]
    gain = student.value - alone
    side = "more" if gain > 0 else "less"
    distilled = f"{points(gain, student.total)} {side}"
    cure: list[str] = []
    if run.baseline is not None:
        difference = compare_networks(student, run.baseline)
        distilled += f" (95 %: {signed_span(difference, student.total)}, one seed of each)"
        method = METHODS.get(str(look_up(run.results, "student.method")))
        if difference.clear and gain < 0 and method and "kd" in method.terms:
            cure = [f"{CURE_OF_BEHIND[0].upper()}{CURE_OF_BEHIND[1:]}."]
    return [
        f"{head}; the teacher lies {far} above that, and the student distilled from it reaches "
        f"{distilled}.",
        *cure,
    ]
