"""All run folders and studies below a folder, each as a row; what cannot be read says why.

A row is read from ``results.json`` and ``record.json`` alone, and again only once one of them was
written since.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from hybridonn.core.errors import ArtefactError
from hybridonn.explorer.activity import find_locked, is_active, name_stage
from hybridonn.pipeline.run_folder import RESULTS, SPEC
from hybridonn.pipeline.run_record import RUN_RECORD, read_run_record
from hybridonn.reports.artefacts.numbers import is_count, is_number, is_share
from hybridonn.reports.formats import look_up
from hybridonn.reports.statistics import wilson_interval
from hybridonn.reports.studies import KINDS, PAGE, find_kind

SURVEY = "survey.json"  # what `hybridonn data check` writes
DEPTH = 3  # folders of folders of runs
FINISHED, RUNNING, STOPPED, BROKEN, FOREIGN = (
    *("finished", "running", "stopped", "broken"),
    "foreign",
)
State = tuple[Any, ...]  # when and how large the files of a row are


@dataclass(frozen=True)
class Row:
    """A folder in the table of runs.

    Attributes:
        name: Path below the folder of runs, which names it everywhere.
        state: ``finished``, ``running``, ``stopped``, ``broken`` or ``foreign``.
        kind: ``run``, ``data check``, or the command of a study.
        said: Why it is broken or foreign, or which stage is under way; empty: nothing to say.
        data: Name of the data set.
        method: Method of distillation.
        metric: Label of the metric.
        value: The student's metric on the test images, in [0, 1]; None: not known.
        low: Lower end of its 95 % interval; None: the results do not tell.
        high: Upper end.
        teacher: The teacher's metric.
        estimate: What was estimated before training.
        kernels: Number of optical kernels.
        parameters: Number of digital parameters.
        seconds: What all stages took.
        finished: When it ended, ISO 8601.
        has_report: Whether it has a report.
        deployed: Whether it can answer a camera.
    """

    name: str
    state: str
    kind: str = "run"
    said: str = ""
    data: str = ""
    method: str = ""
    metric: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    teacher: float | None = None
    estimate: float | None = None
    kernels: int | None = None
    parameters: int | None = None
    seconds: float | None = None
    finished: str = ""
    has_report: bool = False
    deployed: bool = False


class RunTable:
    """The rows of a folder; what was read is kept until its files change.

    Args:
        root: The folder of runs, or a run itself.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._kept: dict[str, tuple[State, Row]] = {}

    def list_rows(self) -> list[Row]:
        """Every row, by name.

        Raises:
            ArtefactError: The folder is missing or cannot be read.
        """
        try:
            found = dict(_find(self.root, self.root, DEPTH))
        except OSError as error:
            raise ArtefactError(
                f"cannot list {self.root}: {error.strerror or error}; name a folder of runs"
            ) from None
        locked = find_locked()
        kept = {name: self._keep(name, folder) for name, folder in found.items()}
        self._kept = kept
        rows = (_mark_active(row, found[name], locked) for name, (_, row) in kept.items())
        return sorted(rows, key=lambda row: row.name)

    def folder(self, name: str) -> Path:
        """The folder of a row.

        Raises:
            ArtefactError: No row has this name, or its folder vanished.
        """
        found = dict(_find(self.root, self.root, DEPTH)) if self.root.is_dir() else {}
        if name not in found:
            raise ArtefactError(f"{name} is not below {self.root}: it vanished or was renamed")
        return found[name]

    def _keep(self, name: str, folder: Path) -> tuple[State, Row]:
        state = _look(folder)
        known = self._kept.get(name)
        return known if known and known[0] == state else (state, read_row(name, folder))


def _find(folder: Path, root: Path, depth: int) -> Iterator[tuple[str, Path]]:
    """Runs, studies and what is neither, by their path below the root."""
    name = folder.relative_to(root).as_posix()
    if _is_ours(folder):
        yield (folder.resolve().name if folder == root else name), folder
        return
    inside = [one for one in folder.iterdir() if one.is_dir() and not one.name.startswith(".")]
    found = [pair for one in sorted(inside) if depth for pair in _find_quietly(one, root, depth)]
    ours = any(_is_ours(path) for _, path in found)
    yield from found if folder == root or ours else [(name, folder)]


def _find_quietly(folder: Path, root: Path, depth: int) -> list[tuple[str, Path]]:
    try:
        return list(_find(folder, root, depth - 1))
    except OSError:  # it vanished, or is another user's
        return [(folder.relative_to(root).as_posix(), folder)]


def _is_ours(folder: Path) -> bool:
    return any((folder / mark).exists() for mark in (RUN_RECORD, RESULTS, SPEC))


def _look(folder: Path) -> State:
    """What changes when a file that a row is read from is written."""
    names = (RUN_RECORD, RESULTS, SPEC, PAGE, *(f"{kind}.json" for kind in KINDS))
    return tuple(map(_stat, (folder / name for name in (*names, "deployed"))))


def _stat(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def read_row(name: str, folder: Path) -> Row:
    """Read the row of a folder; a fault becomes what the row says.

    Args:
        name: Name of the row.
        folder: The folder.
    """
    try:
        return _read(name, folder)
    except ArtefactError as error:
        # The row names the folder already; what is wrong in it comes first.
        return Row(name, BROKEN, said=str(error).replace(f"{folder}/", ""))


def _read(name: str, folder: Path) -> Row:
    """The row of a folder.

    Raises:
        ArtefactError: A file of it is damaged.
    """
    report = (folder / PAGE).is_file()
    kind = find_kind(folder)
    if kind is not None:
        return _read_study(name, folder, kind, report)
    if (folder / RUN_RECORD).exists():
        return _read_run(name, folder, report)
    if _is_ours(folder):
        return Row(name, STOPPED, said=name_stage(folder), has_report=report)
    if (folder / SURVEY).is_file():
        return Row(name, FOREIGN, kind="data check", said="images that were checked")
    said = f"no run: without {SPEC}, {RUN_RECORD} and {RESULTS}"
    return Row(name, FOREIGN, kind="", said=said if folder.is_dir() else "it vanished")


def _read_study(name: str, folder: Path, kind: str, report: bool) -> Row:
    found = _read_json(folder / f"{kind}.json")
    path = folder / f"{kind}.json"
    methods = found.get("methods")
    method = ", ".join(map(str, methods)) if isinstance(methods, dict) else ""
    finished = _stat(path)
    ended = "" if finished is None else _moment(finished[0])
    command = KINDS[kind].command.removeprefix("hybridonn ")
    return Row(name, FINISHED, command, method=method, finished=ended, has_report=report)


def _read_run(name: str, folder: Path, report: bool) -> Row:
    record, results = read_run_record(folder), _read_json(folder / RESULTS)
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


def _read_json(path: Path) -> dict[str, Any]:
    """The mapping of a file.

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


def _moment(time_ns: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(time_ns / 1e9, UTC).isoformat(timespec="seconds")


def _mark_active(row: Row, folder: Path, locked: frozenset[int] | None) -> Row:
    """The row of a folder into which a command writes at this moment says so."""
    if row.state == FOREIGN or not is_active(folder, locked):
        return row
    return replace(row, state=RUNNING, said=name_stage(folder))
