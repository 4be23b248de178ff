"""The verdict in words: what was reached, with what, behind which optics, beside which teacher."""

from __future__ import annotations

from hybridonn.reports.artefacts.masks import MaskPredictions
from hybridonn.reports.artefacts.run import Run
from hybridonn.reports.figures.pillar_maps import describe_pillars
from hybridonn.reports.formats import (
    LEAST,
    Answers,
    interval,
    look_up,
    number,
    percent,
    points,
    signed_span,
    span,
)
from hybridonn.reports.sections.chip_wording import summarise_chip
from hybridonn.reports.statistics import Difference, score_difference, wilson_interval

METHODS = {
    "none": "on the task alone, without distillation",
    "kd": "by knowledge distillation (KD)",
    "ntkd": "by neural tangent knowledge distillation (NTKD)",
}


def describe_run(run: Run) -> list[str]:
    """The verdict: the student, its optics as designed and as fabricated, and the teacher."""
    student = run.models["student"].predictions
    method = str(look_up(run.results, "student.method"))
    ideal = " with ideal optics" if run.optics or run.chip else ""
    sentences = [
        f"On the {student.total:,} test images of {run.record['data'].get('name', 'the data')}, "
        f"the hybrid optical network reaches {percent(student.value, student.total)} "
        f"{student.metric} (95 % interval {interval(student)}){ideal}. It was trained "
        f"{METHODS.get(method, f'by the method {method}')}, with {_describe_hardware(run)}."
    ]
    if run.optics is not None:
        sentences.append(_describe_design(run, student))
    if run.chip is not None:
        sentences.append(summarise_chip(run))
    if "teacher" not in run.models:
        return [*sentences, "This run has no teacher to compare with."]
    return [*sentences, *_compare_with_teacher(run), *_judge_teacher(run)]


def compare_answers(answers: Answers, baseline: Answers) -> Difference:
    """How far a network is ahead of another one on the same test images."""
    return score_difference(answers.scores, baseline.scores)


def reach_design(run: Run) -> tuple[str, float, tuple[float, float] | None] | None:
    """The metric behind the designed metasurface: its name, value and 95 % interval.

    None: no metasurface was designed. Of an accuracy the interval is Wilson's; of an mIoU the
    stage keeps no image's score, so there is none.
    """
    if run.optics is None:
        return None
    student = run.models["student"].predictions
    key = "miou" if isinstance(student, MaskPredictions) else "accuracy"
    value = run.optics.results.get(key)
    if not isinstance(value, int | float):
        return None
    ends = None
    if key == "accuracy":
        ends = wilson_interval(round(value * student.total), student.total)
    return student.metric, float(value), ends


def _describe_hardware(run: Run) -> str:
    sizes = [(branch.kernels.stop - branch.kernels.start, branch.size) for branch in run.branches]
    total = sum(count for count, _ in sizes)
    each = {size for _, size in sizes}
    optical = f"{total} optical kernel{'s' * (total != 1)}"
    if len(each) == 1:
        optical += f" of {sizes[0][1]} × {sizes[0][1]}"
    else:
        optical += f" ({', '.join(f'{count} of {size} × {size}' for count, size in sizes)})"
    digital = look_up(run.results, "student.parameters.digital")
    return optical if digital is None else f"{optical} and {number(digital)} digital parameters"


def _describe_design(run: Run, student: Answers) -> str:
    """The designed metasurface in a sentence: what it is made of and what it reaches."""
    assert run.optics is not None  # describe_run asks
    made = describe_pillars(run.optics.results, run.optics.wavelengths_nm)
    reached = reach_design(run)
    if reached is None:
        return f"Its metasurface was designed: {made}."
    metric, value, ends = reached
    sure = "" if ends is None else f" ({span(ends, student.total)})"
    gain = value - student.value
    against = "as many as ideal optics"
    if abs(gain) > LEAST:
        against = (
            f"{points(gain, student.total)} {'more' if gain > 0 else 'less'} than ideal optics"
        )
    return (
        f"With its designed metasurface, {made}, the simulation reaches "
        f"{percent(value, student.total)} {metric}{sure} on the same images, {against}."
    )


def _compare_with_teacher(run: Run) -> list[str]:
    student, teacher = run.models["student"].predictions, run.models["teacher"].predictions
    name = look_up(run.results, "teacher.name")
    who = f"teacher, {name}," if name else "teacher"
    reached = f"{percent(teacher.value, teacher.total)} ({interval(teacher)})"
    gap = teacher.value - student.value
    sure = _say_sure(compare_answers(student, teacher), student.total)
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
        f"{teacher.metric} and lies {points(gap, student.total)} below it{sure}."
    ]


def _say_sure(difference: Difference, total: int) -> str:
    """The interval of student less teacher, and whether the test images tell the two apart."""
    apart = "" if difference.clear else f"; {total:,} test images do not tell the two apart"
    return (
        f" (student less teacher on the same images, 95 %: {signed_span(difference, total)} "
        f"points{apart})"
    )


def _judge_teacher(run: Run) -> list[str]:
    """How far the teacher is above the student that learnt without it, where there is one."""
    margin = look_up(run.results, "untaught.teacher_margin")
    if margin is None:
        return []
    student = run.models["student"].predictions
    key = "miou" if isinstance(student, MaskPredictions) else "accuracy"
    alone = look_up(run.results, f"untaught.{key}")
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
    taught = f"{points(gain, student.total)} {side}"
    if run.untaught is not None:
        difference = compare_answers(student, run.untaught)
        taught += f" (95 %: {signed_span(difference, student.total)}, one seed of each)"
    return [
        f"{head}; the teacher lies {far} above that, and the student that it taught reaches "
        f"{taught}."
    ]
