"""The row of a run: of a finished one its numbers, of another what there is of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from hybridonn.core.errors import ArtefactError
from hybridonn.core.stage_record import say_stage
from hybridonn.explorer.activity import find_part, name_stage, read_progress
from hybridonn.explorer.row import FINISHED, STOPPED, Row
from hybridonn.pipeline.result_keys import RESULT_KEYS
from hybridonn.pipeline.run_folder import RESULTS, SPEC
from hybridonn.pipeline.run_record import read_run_record
from hybridonn.reports.artefacts.numbers import is_count, is_number, is_share
from hybridonn.reports.formats import look_up
from hybridonn.reports.statistics import wilson_interval

DATA_NAME = re.compile(r"^data:\n  name: (?P<name>[\w-]+)$", re.MULTILINE)


def read_run(name: str, folder: Path, report: bool) -> Row:
    """The row of a finished run.

    Args:
        name: Name of the row.
        folder: The run, with a record.
        report: Whether it has a report.

    Raises:
        ArtefactError: A file of it is damaged.
    """
    record, results = read_run_record(folder), read_mapping(folder / RESULTS)
    metric, label, whole = _find_metric(results, folder)
    value = look_up(results, f"student.{metric}")
    total = look_up(record, "data.test")
    ends = None
    if whole and is_count(total) and total and value is not None:
        ends = wilson_interval(round(value * total), total)
    seconds = record.get("seconds")
    spent = seconds.values() if isinstance(seconds, dict) else ()
    return Row(
        name,
        FINISHED,
        said=f"stopped later, {name_stage(folder)}" if find_part(folder) else "",
        data=str(record["data"].get("name", "")),
        method=str(look_up(results, "student.method") or ""),
        metric=label,
        value=value,
        low=ends and ends[0],
        high=ends and ends[1],
        teacher=_share(results, f"teacher.{metric}"),
        estimate=_share(results, f"estimate.{metric}"),
        kernels=_count(results, "layout.kernels_used"),
        parameters=_count(results, "student.parameters.digital"),
        seconds=sum(one for one in spent if is_number(one)),
        finished=str(record.get("finished", "")),
        has_report=report,
        deployed=(folder / "deployed").is_dir(),
    )


def read_begun(name: str, folder: Path, report: bool) -> Row:
    """The row of a run that is not whole: an estimate, a layout or a teacher alone, or stopped.

    Args:
        name: Name of the row.
        folder: The run, without a record.
        report: Whether it has a report.

    Raises:
        ArtefactError: A file of it is damaged.
    """
    path = folder / RESULTS
    results = read_mapping(path) if path.exists() else {}
    done = read_progress(folder).done
    alone = "" if find_part(folder) else _name_alone(done, results)
    metric, label = next(
        ((key, label) for key, label, _ in _list_metrics() if look_up(results, f"estimate.{key}")),
        next(((key, label) for key, label, _ in _list_metrics()), ("", "")),
    )
    return Row(
        name,
        alone or STOPPED,
        said="" if alone else name_stage(folder),
        data=_find_data(folder / SPEC),
        metric=label if alone and look_up(results, f"estimate.{metric}") else "",
        teacher=_share(results, f"teacher.{metric}"),
        estimate=_share(results, f"estimate.{metric}"),
        kernels=_count(results, "layout.kernels_used"),
        seconds=sum(done.values()) if done else None,
        finished=say_time(path) if alone else "",
        has_report=report,
    )


def _find_data(path: Path) -> str:
    """Name of the data set of a spec as commands write it; empty: it is not found.

    To parse a whole spec takes 8 ms, too long for a thousand rows.
    """
    try:
        found = DATA_NAME.search(path.read_text("utf-8"))
    except (OSError, ValueError):
        return ""
    return found["name"] if found else ""


def _name_alone(done: Mapping[str, float], results: Mapping[str, Any]) -> str:
    """What a command left that ended before any student; empty: a command was stopped.

    A command writes the numbers of its stages when it ends, so that a stage without numbers is of
    one that was stopped. A layout alone is left by a design that was refused after it.
    """
    known = [stage for stage in RESULT_KEYS if stage in done]
    if known == ["layout"]:
        return "layout alone"
    if not known or len(known) < len(done) or any(stage not in results for stage in known):
        return ""
    return f"{' and '.join(say_stage(one) for one in known if one != 'layout')} alone"


def _find_metric(results: dict[str, Any], folder: Path) -> tuple[str, str, bool]:
    """Key and label of the student's metric, and whether each image is right or wrong.

    Raises:
        ArtefactError: The results hold none.
    """
    student = results.get("student")
    for key, label, whole in _list_metrics():
        if isinstance(student, dict) and key in student:
            if is_share(student[key]):
                return key, label, whole
            found = str(student[key])[:40]
            raise ArtefactError(f"{folder / RESULTS} says student.{key} is {found}: no share")
    known = ", ".join(key for key, _, _ in _list_metrics())
    raise ArtefactError(f"{folder / RESULTS} holds none of {known} of the student")


@cache
def _list_metrics() -> tuple[tuple[str, str, bool], ...]:
    from hybridonn.tasks.table import TASKS
    from hybridonn.tasks.task import make_task

    tasks = map(make_task, TASKS)
    return tuple((task.metric, task.label, task.whole) for task in tasks)


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping of a JSON file.

    Raises:
        ArtefactError: It is missing or damaged.
    """
    try:
        tree = json.loads(path.read_bytes())
    except OSError as error:
        raise ArtefactError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise ArtefactError(f"{path} is damaged ({' '.join(str(error).split())[:80]})") from None
    if not isinstance(tree, dict):
        raise ArtefactError(f"{path} is damaged (it holds no mapping)")
    return tree


def _share(results: dict[str, Any], key: str) -> float | None:
    value = look_up(results, key)
    return value if is_share(value) else None


def _count(results: dict[str, Any], key: str) -> int | None:
    value = look_up(results, key)
    return value if is_count(value) else None


def say_time(path: Path) -> str:
    """When a file was written, ISO 8601; empty: it vanished."""
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")
    except OSError:
        return ""
