"""The lines that matter of the numbers of a run, in words, without keys of ``results.json``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hybridonn.cli.values import show
from hybridonn.core.stage_record import say_stage

Numbers = Mapping[str, Any]
Row = tuple[str, str]


def summarise(results: Mapping[str, Numbers]) -> list[Row]:
    """What is shown of each stage: its name and a line; of one stage alone, its lines.

    Args:
        results: The numbers by stage, as in ``results.json``.
    """
    if len(results) == 1 and (list_lines := LINES.get(next(iter(results)))):
        return [row for row in list_lines(*results.values()) if row[1]]
    lines = {stage: BRIEF.get(stage, _say_nothing)(one) for stage, one in results.items()}
    return [(say_stage(stage), line) for stage, line in lines.items() if line]


def name_metric(results: Mapping[str, Numbers]) -> str:
    """What the metric of a run is called, such as ``accuracy``; empty: nothing was measured."""
    from hybridonn.tasks.table import TASKS
    from hybridonn.tasks.task import make_task

    tasks = [make_task(name) for name in TASKS]
    found = (task for task in tasks for one in results.values() if task.metric in one)
    return next((task.label for task in found), "")


def _find_metric(numbers: Numbers) -> str:
    from hybridonn.tasks.table import TASKS
    from hybridonn.tasks.task import make_task

    metrics = (make_task(name).metric for name in TASKS)
    return next((metric for metric in metrics if metric in numbers), "")


def _say(numbers: Numbers, *keys: str) -> str:
    """The words of those keys that are there, each ``key`` or ``key=words before the value``."""
    parts = []
    for key in keys:
        name, _, words = key.partition("=")
        value = _look_up(numbers, name)
        if value is not None:
            parts.append(f"{words} {show(name, value)}".strip())
    return ", ".join(parts)


def _look_up(numbers: Numbers, key: str) -> Any:
    found: Any = numbers
    for name in key.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _say_layout(numbers: Numbers) -> str:
    used = numbers["kernels_used"]
    return (
        f"{used} kernel{'s' * (used != 1)} on {numbers['sites']} sites "
        f"({numbers['rows']} x {numbers['columns']}); {numbers['kernels']} would fit"
    )


def _say_estimate(numbers: Numbers) -> str:
    parts = (_say(numbers, _find_metric(numbers)), _say(numbers, "uncertainty=standard error"))
    return ", ".join(part for part in parts if part)


def _say_teacher(numbers: Numbers) -> str:
    return _say(numbers, _find_metric(numbers), "name", "parameters=parameters:", "seconds=in")


def _say_student(numbers: Numbers) -> str:
    keys = (_find_metric(numbers), "method=by", "parameters.digital=digital parameters:")
    return _say(numbers, *keys)


def _say_baseline(numbers: Numbers) -> str:
    return _say(numbers, _find_metric(numbers), "teacher_margin=the teacher is better by")


def _say_metasurface(numbers: Numbers) -> str:
    metric = _find_metric(numbers)
    keys = (metric, f"ideal_{metric}=ideal kernels:", "sub_optics=sub-optics:")
    return _say(numbers, *keys, "kernel_error=kernel error:", "efficiency=efficiency:")


def _say_fabricated(numbers: Numbers) -> str:
    return _say(numbers, _find_metric(numbers), "drop=lost:", "preset")


def _say_compensated(numbers: Numbers) -> str:
    metric = _find_metric(numbers)
    keys = (metric, "method=kept:", f"uncompensated_{metric}=uncompensated:")
    return _say(numbers, *keys, f"calibrated_{metric}=calibrated:")


def _say_deployed(numbers: Numbers) -> str:
    metric = _find_metric(numbers)
    return _say(numbers, f"onnx.{metric}=ONNX:", f"int8.{metric}=8-bit integers:")


def _say_nothing(numbers: Numbers) -> str:
    return ""


BRIEF: dict[str, Callable[[Numbers], str]] = {
    "layout": _say_layout,
    "estimate": _say_estimate,
    "teacher": _say_teacher,
    "teacher_targets": _say_nothing,
    "student": _say_student,
    "baseline": _say_baseline,
    "metasurface": _say_metasurface,
    "fabricated": _say_fabricated,
    "compensated": _say_compensated,
    "deployed": _say_deployed,
}


def _list_compensated(numbers: Numbers) -> Iterator[Row]:
    from hybridonn.distillation.methods import METHODS

    metric = _find_metric(numbers)
    names = {name: f"fine-tuned {method.how}" for name, method in METHODS.items()}
    names = {"uncompensated": "as fabricated", "calibrated": "calibrated", **names}
    for name, words in names.items():
        key = f"{name}_{metric}"
        held = _say(numbers, f"held_out.{name}=; on captures held out")
        kept = "; kept" if name == numbers.get("method") else ""
        line = _say(numbers, key)
        yield words, line and f"{line}{held}{kept}"
    ideal = _say(numbers, f"same_images.ideal_{metric}")
    yield "ideal kernels", ideal and f"{ideal}; the same images"
    yield "captures", _say(numbers, "captures=to learn from:", "held_out.captures=held out:")
    yield "digital parameters", _say(numbers, "parameters", "parameters_before=before:")
    yield "time", _say(numbers, "seconds")


def _list_deployed(numbers: Numbers) -> Iterator[Row]:
    metric = _find_metric(numbers)
    behind = _say(numbers, "backend=backend:", "optics=features by:", "test_images=images:")
    yield "in torch", ", ".join(part for part in (_say(numbers, metric), behind) if part)
    for name, words in FILES.items():
        key = f"{name}.same_predictions=answers as in torch:"
        yield words, _say(numbers, f"{name}.{metric}", key)
    keys = ("host_same_largest_output=here:", "cortex_m4_same_largest_output=on a Cortex-M4:")
    same = _say(numbers.get("c", {}), *keys)
    yield "C", same and f"answers as in torch {same}"
    yield "C memory", _say(numbers, "c.weight_bytes=weights", "c.working_bytes=working memory")
    for key, words in (("macs", "multiply-accumulates"), ("parameters", "parameters")):
        keys = [f"{key}.{name}={network}:" for name, network in NETWORKS.items()]
        yield words, _say(numbers, *keys)
    times = [f"latency_us.{name}={words}" for name, words in RUNTIMES.items()]
    yield "time of an image", _say(numbers, *times)


FILES = {
    "onnx": "ONNX",
    "int8": "ONNX, 8-bit integers",
    "hybrid": "ONNX, optics and backend",
    "tflite_micro": "LiteRT Micro, 8-bit integers",
}
NETWORKS = {"backend": "backend", "digital": "all digital", "teacher": "teacher"}
RUNTIMES = {
    "torch": "torch",
    "onnxruntime": "ONNX Runtime",
    "int8": "in 8-bit integers",
    "c": "C",
    "tflite_micro": "LiteRT Micro",
}


def _list_layout_file(numbers: Numbers) -> Iterator[Row]:
    left, lower, right, upper = numbers["bounding_box_mm"]
    yield "pillars", f"{numbers['pillars']:,} of {numbers['distinct_widths']} widths"
    yield "sub-optics", _say(numbers, "sub_optics")
    yield "narrowest pillar", f"{numbers['minimum_feature_nm']:g} nm"
    yield "nearest pillars", f"{numbers['minimum_gap_nm']:g} nm apart"
    yield "size of all", f"{right - left:.4g} x {upper - lower:.4g} mm"
    yield "step of the database", f"{numbers['step_nm']:g} nm"
    yield (
        "drawn",
        {"pillars": "pillars", "cleared": "what lies between the pillars"}[numbers["tone"]],
    )
    yield "file", _say(numbers, "bytes", "seconds=written and read back in")
    yield "SHA-256", _say(numbers, "sha256")


# Of a stage that a command does alone.
LINES: dict[str, Callable[[Numbers], Iterator[Row]]] = {
    "compensated": _list_compensated,
    "deployed": _list_deployed,
    "layout_file": _list_layout_file,
}


def list_chips(summary: Mapping[str, Numbers]) -> list[Row]:
    """A line for each treatment of many simulated chips.

    Args:
        summary: The summary of a study of tolerance, by treatment.
    """
    from hybridonn.reports.tables.treatments import TREATMENTS

    return [(TREATMENTS.get(name, name), _say_chips(one)) for name, one in summary.items()]


def _say_chips(numbers: Numbers) -> str:
    values = {name: show(name, value) for name, value in numbers.items()}
    line = f"mean {values['mean']} ({values['lowest']} to {values['highest']})"
    if numbers["standard_deviation"] is not None:
        line += f", standard deviation {values['standard_deviation']}"
    return f"{line}; yield {values['yield']} ({values['yield_low']} to {values['yield_high']})"
