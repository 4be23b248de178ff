"""What lies in a folder: each file once, links followed where they lead to something new."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hybridonn.core.errors import DataError

# What Windows and macOS leave in folders of images.
SYSTEM_FILES = ("thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx")
_UNPRINTABLE = ("Cc", "Cs")  # Unicode's control characters, and bytes that are no UTF-8


@dataclass(frozen=True)
class Contents:
    """The folders and files in a folder, each sorted by name, hidden ones left out."""

    folders: tuple[Path, ...] = ()
    files: tuple[Path, ...] = ()


@dataclass
class FolderWalk:
    """A walk through the folders of a set, which lists no folder twice.

    A link to a folder elsewhere is followed. One that leads back into a listed folder, to a
    folder that holds one, or to one that another link led to before, would list the same files
    again, without end or under another label: it is a fault.

    Attributes:
        roots: The folders that are listed.
        faults: Where what is wrong is added, a sentence each.
    """

    roots: tuple[Path, ...]
    faults: list[str]
    _listed: dict[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for root in self.roots:
            real = os.path.realpath(root)
            first = self._find_overlap(real)
            if first is not None:
                raise DataError(
                    f"{show_path(root)} and {show_path(first)} are the same folder, or one lies in "
                    "the other; each part of a set needs a folder of its own"
                )
            self._listed[real] = root

    def list_folder(self, folder: Path) -> Contents:
        """What lies in a folder.

        Raises:
            DataError: The folder cannot be read.
        """
        folders, files = [], []
        for entry, kind in _look(folder):
            path = folder / entry.name
            fault = _name_fault(path)
            if fault is None and kind == "folder" and entry.is_symlink():
                fault = self._follow(path)
            if fault is None and kind not in ("folder", "file"):
                fault = f"{show_path(path)} is {kind}; take it away"
            if fault is not None:
                self.faults.append(fault)
            else:
                (folders if kind == "folder" else files).append(path)
        return Contents(tuple(sorted(folders)), tuple(sorted(files)))

    def list_files_below(self, folder: Path) -> list[Path]:
        """All files in a folder and the folders within, sorted.

        Raises:
            DataError: A folder cannot be read.
        """
        found = self.list_folder(folder)
        below = [path for inner in found.folders for path in self.list_files_below(inner)]
        return sorted([*found.files, *below])

    def _follow(self, link: Path) -> str | None:
        real = os.path.realpath(link)
        first = self._find_overlap(real)
        if first is not None:
            return (
                f"{show_path(link)} is a link to {show_path(Path(real))}, which {show_path(first)} "
                "lists too or lies in; its files would be listed twice: take the link away"
            )
        self._listed[real] = link
        return None

    def _find_overlap(self, real: str) -> Path | None:
        """The listed folder that is this one, holds it, or lies in it."""
        mine = real.rstrip(os.sep) + os.sep
        for other, path in self._listed.items():
            theirs = other.rstrip(os.sep) + os.sep
            if mine.startswith(theirs) or theirs.startswith(mine):
                return path
        return None


def show_path(path: Path) -> str:
    """A path as text that any terminal and file can hold."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(
        c if unicodedata.category(c) not in _UNPRINTABLE else repr(c)[1:-1] for c in text
    )


def find_unprintable(text: str) -> bool:
    """Whether a name is no UTF-8 or holds control characters."""
    return any(unicodedata.category(c) in _UNPRINTABLE for c in text)


def identify(path: Path) -> tuple[int, int]:
    """What a file and all links to it have in common, of either kind.

    Raises:
        DataError: It is not there.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise DataError(f"cannot read {show_path(path)}: {error.strerror or error}") from None
    return state.st_dev, state.st_ino


def refuse_same_file(paths: Iterable[Path]) -> None:
    """Refuse files of which two are one and the same, by a link.

    Raises:
        DataError: Two of them are.
    """
    seen: dict[tuple[int, int], Path] = {}
    for path in paths:
        first = seen.setdefault(identify(path), path)
        if first is not path:
            raise DataError(
                f"{show_path(path)} and {show_path(first)} are the same file, by a link; each must "
                "be a file of its own"
            )


def find_child(folder: Path, names: Iterable[str]) -> Path | None:
    """The first of the named folders that is there, whatever the case of its name.

    Raises:
        DataError: The folder cannot be read, or what has the name is a link that leads nowhere.
    """
    by_name = {entry.name.lower(): (folder / entry.name, kind) for entry, kind in _look(folder)}
    for name in names:
        path, kind = by_name.get(name, (None, ""))
        if path is not None and kind == "folder":
            return path
        if path is not None and kind != "file":
            raise DataError(f"{show_path(path)} is {kind}; mend it, or take it away")
    return None


def find_children(folder: Path, start: str) -> list[Path]:
    """The folders in a folder whose names begin so, sorted.

    Raises:
        DataError: The folder cannot be read.
    """
    names = [entry.name for entry, kind in _look(folder) if kind == "folder"]
    return sorted(folder / name for name in names if name.startswith(start))


def _look(folder: Path) -> Iterator[tuple[os.DirEntry[str], str]]:
    """The entries of a folder that are not hidden, and what each is.

    Raises:
        DataError: The folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not _is_hidden(entry.name):
                    yield entry, _kind_of(entry)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"cannot read the folder {show_path(folder)}: {reason}") from None


def _is_hidden(name: str) -> bool:
    """Whether a system hides such a file: a leading dot, or what Windows and macOS leave behind."""
    return name.startswith(".") or name.lower() in SYSTEM_FILES


def _kind_of(entry: os.DirEntry[str]) -> str:
    try:
        if entry.is_file():
            return "file"
        if entry.is_dir():
            return "folder"
    except OSError as error:
        return f"a link that cannot be followed ({error.strerror or error})"
    if entry.is_symlink() and not Path(entry.path).exists():
        return "a link to nothing that is there"
    return "neither a file nor a folder (a pipe, a socket or a device)"


def _name_fault(path: Path) -> str | None:
    if not find_unprintable(path.name):
        return None
    return f"{show_path(path)} has a name that is not UTF-8, or holds control characters; rename it"
