"""All run folders and studies below a folder, each as a row; what cannot be read says why.

A row is read from ``results.json`` and ``record.json`` alone, and again only once one of them was
written since.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from hybridonn.core.errors import ArtefactError
from hybridonn.explorer.activity import find_locked, is_active, name_stage
from hybridonn.explorer.row import BROKEN, FINISHED, FOREIGN, RUNNING, STOPPED, Row
from hybridonn.explorer.run_row import read_begun, read_run
from hybridonn.explorer.study_row import (
    DONE,
    REPRODUCTION,
    find_study,
    read_reproduction,
    read_study,
)
from hybridonn.pipeline.run_folder import RESULTS, SPEC
from hybridonn.pipeline.run_record import RUN_RECORD
from hybridonn.reports.studies import PAGE

SURVEY = "survey.json"  # what `hybridonn data check` writes
DEPTH = 3  # folders of folders of runs
MARKS = (RUN_RECORD, RESULTS, SPEC)  # of a run or a study, one at least
State = tuple[Any, ...]  # when and how large the files of a row are


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
        # Where something stopped may change without a file of the folder's own.
        kept = known is not None and known[0] == state and known[1].state != STOPPED
        return known if known and kept else (state, read_row(name, folder))


def _find(folder: Path, root: Path, depth: int) -> Iterator[tuple[str, Path]]:
    """Runs, studies and what is neither, by their path below the root."""
    name = folder.relative_to(root).as_posix()
    if _is_ours(folder):
        yield (folder.resolve().name if folder == root else name), folder
        return
    inside = [one for one in folder.iterdir() if one.is_dir() and not one.name.startswith(".")]
    found = [pair for one in sorted(inside) if depth for pair in _find_quietly(one, root, depth)]
    ours = any(_is_ours(path) for _, path in found)
    if (folder / REPRODUCTION).is_file() and folder != root:
        yield name, folder  # its parts are studies, each a row of its own
    yield from found if folder == root or ours else [(name, folder)]


def _find_quietly(folder: Path, root: Path, depth: int) -> list[tuple[str, Path]]:
    try:
        return list(_find(folder, root, depth - 1))
    except OSError:  # it vanished, or is another user's
        return [(folder.relative_to(root).as_posix(), folder)]


def _is_ours(folder: Path) -> bool:
    return any((folder / mark).exists() for mark in MARKS)


def _look(folder: Path) -> State:
    """What changes when a file that a row is read from is written, or a stage is begun."""
    names = (*MARKS, PAGE, SURVEY, REPRODUCTION, *DONE, "deployed")
    return tuple(map(_stat, (folder, *(folder / name for name in names))))


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
    if (study := find_study(folder)) is not None:
        return read_study(name, folder, study, report)
    if (folder / RUN_RECORD).exists():
        return read_run(name, folder, report)
    if _is_ours(folder):
        return read_begun(name, folder, report)
    if (folder / REPRODUCTION).is_file():
        return read_reproduction(name, folder)
    if (folder / SURVEY).is_file():
        return Row(name, FINISHED, kind="data check", said="images that were checked")
    said = f"no run: without {SPEC}, {RUN_RECORD} and {RESULTS}"
    return Row(name, FOREIGN, kind="", said=said if folder.is_dir() else "it vanished")


def _mark_active(row: Row, folder: Path, locked: frozenset[int] | None) -> Row:
    """The row of a folder into which a command writes at this moment says so."""
    if row.state == FOREIGN or not is_active(folder, locked):
        return row
    return replace(row, state=RUNNING, said=name_stage(folder))
