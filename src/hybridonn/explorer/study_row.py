"""The row of a study: which it is, whether it is finished, and of what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from hybridonn.core.errors import ArtefactError
from hybridonn.explorer.activity import name_stage
from hybridonn.explorer.row import FINISHED, STOPPED, Row
from hybridonn.explorer.run_row import read_mapping, say_time
from hybridonn.reports.studies import KINDS
from hybridonn.studies.rows import ROWS, SETTINGS

REPRODUCTION = "reproduction.json"
# The file that a study writes last, and its command; the folder of its rows knows it better.
DONE: Mapping[str, str] = MappingProxyType(
    {
        **{f"{name}.json": kind.command.partition(" ")[2] for name, kind in KINDS.items()},
        "tuned.yaml": "tune",
        "perturbation.json": "study perturbation",
        "random_kernels.json": "study random-kernels",
    }
)


@dataclass(frozen=True)
class Study:
    """A folder of a study.

    Attributes:
        command: Its command, behind ``hybridonn``.
        done: The file that it wrote last; None: it is not finished.
    """

    command: str
    done: Path | None


def find_study(folder: Path) -> Study | None:
    """The study of a folder; None: it holds none.

    Args:
        folder: A folder.
    """
    done = next((folder / name for name in DONE if (folder / name).is_file()), None)
    told = ""
    if (folder / ROWS / SETTINGS).is_file():
        try:
            told = str(read_mapping(folder / ROWS / SETTINGS).get("study", ""))
        except ArtefactError:  # its rows are refused by the study itself, which says so
            told = "study"
    if done is None and not told:
        return None
    return Study(told or DONE[done.name] if done else told, done)


def read_study(name: str, folder: Path, study: Study, report: bool) -> Row:
    """The row of a study.

    Args:
        name: Name of the row.
        folder: Its folder.
        study: Which it is.
        report: Whether it has a report.

    Raises:
        ArtefactError: The file that it wrote last is damaged.
    """
    if study.done is None:
        return Row(name, STOPPED, study.command, said=name_stage(folder), has_report=report)
    methods = None
    if study.done.suffix == ".json":
        methods = read_mapping(study.done).get("methods")
    method = ", ".join(map(str, methods)) if isinstance(methods, dict) else ""
    ended = say_time(study.done)
    return Row(name, FINISHED, study.command, method=method, finished=ended, has_report=report)


def read_reproduction(name: str, folder: Path) -> Row:
    """The row of tables of the paper that were measured again; its parts are rows of their own.

    Args:
        name: Name of the row.
        folder: Its folder.

    Raises:
        ArtefactError: Its file is damaged.
    """
    tables = read_mapping(folder / REPRODUCTION).get("tables")
    count = len(tables) if isinstance(tables, list) else 0
    said = f"{count} table{'s' * (count != 1)}, in reproduction.html"
    ended = say_time(folder / REPRODUCTION)
    return Row(name, FINISHED, kind="reproduce", said=said, finished=ended)
