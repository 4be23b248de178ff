"""What a study has measured: a file a row in its folder, never mixed with that of another spec.

The rows of all calls with the same settings stay together, so that a table only grows: more seeds,
designs or values of a grid add rows, fewer take none away, and nothing is measured twice. Settings
are what every row depends on beside its own key. A call with other settings is refused.

A row is the result of a run of :mod:`hybridonn.studies.engine`. Its file is named by the hash of
the settings and the key, and is written whole or not at all by the process that did the run: so
a worker or a study may be killed at any moment, and what was finished stays. A file that is damaged
or of other settings is no row, and its run is done again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hybridonn import __version__
from hybridonn.core.errors import ArtefactError
from hybridonn.core.files import checksum_of, write_text
from hybridonn.core.parts import hold, remove
from hybridonn.reports.formats import flatten

ROWS, SETTINGS = "rows", "settings.json"
# What is there before the first row: the spec, which opening a folder writes.
BEFORE = ("spec.yaml", ROWS)
MOST_SHOWN = 4  # differences in a message
MOST_LETTERS = 24  # of a value in a message: a checksum is longer


@dataclass(frozen=True)
class RowFile:
    """The file of one row.

    Attributes:
        folder: Folder of the study.
        mark: Hash of the study's settings.
        key: The row's own key.
    """

    folder: Path
    mark: str
    key: str

    @property
    def path(self) -> Path:
        """Where it lies: in one of 256 folders, since large folders are slow."""
        name = _hash(self.mark, self.key)
        return self.folder / ROWS / name[:2] / f"{name}.json"

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the row as long as the context lasts, so that no second process measures it.

        Raises:
            ArtefactError: The folder cannot be written, or its file system knows no locks.
        """
        lock = self.path.with_suffix(".lock")
        try:
            lock.parent.mkdir(exist_ok=True)
            with hold(lock, wait=True):
                yield
                if self.path.exists():  # who still waits finds it, with or without the lock's file
                    remove(lock)
        except OSError as error:
            raise ArtefactError(
                f"cannot write {error.filename or lock}: {error.strerror or error}; finished runs "
                "are kept. Free some space, or choose another folder with --out"
            ) from None

    def read(self) -> tuple[int, Any] | None:
        """The row's place in the table and its value; None: there is none, or it is damaged."""
        tree = _read(self.path)
        return (tree["number"], tree["value"]) if tree and tree["key"] == self.key else None

    def write(self, number: int, value: Any) -> None:
        """Write the row, whole or not at all.

        Args:
            number: The row's place in the table.
            value: Plain data.

        Raises:
            ArtefactError: The disk is full or the folder cannot be written.
        """
        tree = {"key": self.key, "number": number, "value": value}
        write_text(self.path, json.dumps(tree | {"checksum": checksum_of(tree)}) + "\n")


class Rows:
    """The rows of a study.

    Args:
        folder: Folder of the study, held by the caller.
        told: What every row depends on beside its key; see :func:`tell`.
    """

    def __init__(self, folder: Path, told: dict[str, Any]) -> None:
        self.folder, self.told, self.mark = folder, told, mark_of(told)
        self._rows = dict(self._read_all())
        self._values: dict[str, Any] | None = None

    @property
    def values(self) -> Mapping[str, Any]:
        """All values by key, in the order in which they were asked for."""
        if self._values is None:
            rows = sorted(self._rows.items(), key=lambda row: row[1][0])
            self._values = {key: value for key, (_, value) in rows}
        return MappingProxyType(self._values)

    @property
    def next_number(self) -> int:
        """The place in the table behind all rows."""
        return 1 + max((number for number, _ in self._rows.values()), default=-1)

    def file(self, key: str) -> RowFile:
        """The file of a row."""
        return RowFile(self.folder, self.mark, key)

    def take(self, key: str) -> None:
        """Take up a row that was written since.

        Raises:
            ArtefactError: It is not there.
        """
        found = self.file(key).read()
        if found is None:
            raise ArtefactError(
                f"{self.file(key).path} is missing or damaged although its run was finished; is "
                "the folder on a disk that all workers share?"
            )
        self._rows[key], self._values = found, None

    def _read_all(self) -> Iterator[tuple[str, tuple[int, Any]]]:
        for path in sorted((self.folder / ROWS).glob("*/*.json")):
            tree = _read(path)
            if tree and path == self.file(tree["key"]).path:
                yield tree["key"], (tree["number"], tree["value"])


def open_rows(folder: Path, study: str, settings: dict[str, Any]) -> Rows:
    """Open the rows of a study for reading and adding.

    Args:
        folder: Folder of the study, held by the caller.
        study: Name of the study.
        settings: What every row depends on beside its key, as plain data.

    Raises:
        ArtefactError: The folder holds the rows of another study, or of the same one with other
            settings, or files without rows; the message names what differs.
    """
    told = tell(study, settings)
    if not _has_rows(folder):
        write_text(folder / ROWS / SETTINGS, json.dumps(told, indent=2) + "\n")
    _refuse_others(folder, told)
    return Rows(folder, told)


def tell(study: str, settings: dict[str, Any]) -> dict[str, Any]:
    """All that every row of a study depends on, as a file gives it back.

    Args:
        study: Name of the study.
        settings: What its rows depend on beside their keys, as plain data.
    """
    told = {"study": study, "hybridonn": __version__} | dict(flatten(settings))
    return json.loads(json.dumps(told))


def mark_of(told: dict[str, Any]) -> str:
    """Hash of what every row of a study depends on."""
    return _hash(json.dumps(told, sort_keys=True))


def name_row(*parts: Any) -> str:
    """The key of a row.

    Args:
        *parts: Plain data that tell it from all other rows of the study.
    """
    return json.dumps(parts, sort_keys=True)


def tell_apart(kept: dict[str, Any], told: dict[str, Any]) -> str:
    """What differs between two settings, as a part of a sentence.

    Args:
        kept: What is said of "there".
        told: What is said of "here".
    """
    keys = [key for key in {**kept, **told} if kept.get(key) != told.get(key)]
    said = [f"{key} is {_show(kept, key)} there and {_show(told, key)} here" for key in keys]
    more = [f"and {len(said) - MOST_SHOWN} more"] if len(said) > MOST_SHOWN else []
    return ", ".join([*said[:MOST_SHOWN], *more])


def _has_rows(folder: Path) -> bool:
    """Whether a folder says what its rows depend on.

    Raises:
        ArtefactError: It does not, and holds something else.
    """
    if (folder / ROWS / SETTINGS).exists():
        return True
    others = sorted(
        entry.name
        for entry in folder.iterdir()
        if not entry.name.startswith(".") and entry.name not in BEFORE
    )
    if others:
        raise ArtefactError(
            f"{folder} holds {', '.join(others[:MOST_SHOWN])}, but no {ROWS}/{SETTINGS} that says "
            "what was measured with which spec: it is of another command or of an earlier version; "
            "choose another folder with --out"
        )
    return False


def _refuse_others(folder: Path, told: dict[str, Any]) -> None:
    """Refuse a folder that is not of this study with these settings.

    Raises:
        ArtefactError: See :func:`open_rows`.
    """
    kept = _read_settings(folder / ROWS / SETTINGS)
    if kept == told:
        return
    if kept.get("study") != told["study"]:
        raise ArtefactError(
            f"{folder} holds the study {kept.get('study') or 'of another kind'}, not "
            f"{told['study']}; choose another folder with --out"
        )
    raise ArtefactError(
        f"{folder} was measured with other settings: {tell_apart(kept, told)}. Results of two "
        "specs are not mixed: choose another folder with --out, or state what was stated there "
        f"({folder / 'spec.yaml'})"
    )


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        tree = json.loads(path.read_bytes())
        found = "" if isinstance(tree, dict) else "it holds no mapping"
    except (OSError, ValueError, RecursionError) as error:
        tree, found = {}, getattr(error, "strerror", None) or "it is damaged"
    if found:
        raise ArtefactError(
            f"cannot read what the rows of {path} were measured with: {found}; restore it, or "
            "choose another folder with --out"
        )
    return tree


def _read(path: Path) -> dict[str, Any] | None:
    """The content of a row's file; None: it is missing, torn or damaged."""
    try:
        tree = json.loads(path.read_bytes())
        whole = {name: tree[name] for name in ("key", "number", "value")}
        return whole if tree["checksum"] == checksum_of(whole) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _show(tree: dict[str, Any], key: str) -> str:
    if key not in tree:
        return "not stated"
    text = json.dumps(tree[key])
    return text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}…"
