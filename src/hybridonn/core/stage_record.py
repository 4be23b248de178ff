"""The record of a stage, ``stage.json``: the checksums of its files, compared before they are used.

A file is summed once a process, and again only if it was written since.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from hybridonn.core.errors import ArtefactError
from hybridonn.core.files import checksum, checksum_of, read_json

RECORD = "stage.json"


def say_stage(name: str) -> str:
    """A stage in words, such as ``teacher targets``; its folder has underscores."""
    return name.replace("_", " ")


class DamagedError(Exception):
    """A file of a stage is not what was written.

    Args:
        name: The file, within the folder of the stage.
        what: What is wrong with it, after "it".
    """

    def __init__(self, name: str, what: str) -> None:
        super().__init__(name, what)
        self.name = name
        self.what = what

    def say(self, folder: Path) -> str:
        """The beginning of a sentence."""
        return f"{folder / self.name} {self.what}"


def check_artefact(path: Path) -> None:
    """Compare one file of a finished stage with its checksum; one of no stage is not looked at.

    Raises:
        ArtefactError: The file, or the record of its stage, is missing or damaged.
    """
    folder = next((one for one in path.parents[:2] if (one / RECORD).exists()), None)
    if folder is None or path == folder / RECORD:
        return
    name = path.relative_to(folder).as_posix()
    try:
        known = read_record(folder)["files"].get(name)
        if known is not None:
            _check_file(folder, name, known)
    except DamagedError as error:
        raise ArtefactError(explain_damage(error, folder)) from None


def check_files(folder: Path, mark: str | None = None) -> None:
    """Compare every artefact with its checksum.

    Args:
        folder: Folder of a stage.
        mark: The fingerprint that it must have; None: any.

    Raises:
        DamagedError: One is missing or is not what was written.
    """
    record = read_record(folder)
    if mark is not None and record["fingerprint"] != mark:
        raise DamagedError(RECORD, "is of a stage with other inputs")
    for name, known in record["files"].items():
        _check_file(folder, name, known)


def _check_file(folder: Path, name: str, known: str) -> None:
    path = folder / name
    try:
        state = path.stat()
        found = _sum_once(path.absolute(), state.st_size, state.st_mtime_ns, state.st_ino)
    except FileNotFoundError:
        raise DamagedError(name, "is missing") from None
    except OSError as error:
        raise DamagedError(name, f"cannot be read ({error.strerror or error})") from None
    if found != known:
        raise DamagedError(name, f"is damaged: its checksum is {found}, not {known}")


@cache
def _sum_once(path: Path, size: int, time_ns: int, inode: int) -> str:
    """The checksum of a file; a file that has not been written since is not read again."""
    return checksum(path)


def read_record(folder: Path) -> dict[str, Any]:
    """What ``stage.json`` holds.

    Raises:
        DamagedError: It is missing or damaged in any way.
    """
    try:
        record = read_json(folder / RECORD)
    except ArtefactError:
        raise DamagedError(RECORD, "is damaged: it is no JSON that can be read") from None
    kinds = {"fingerprint": str, "seconds": int | float, "results": dict, "files": dict}
    if not isinstance(record, dict) or not all(
        isinstance(record.get(key), kind) for key, kind in kinds.items()
    ):
        raise DamagedError(RECORD, "is damaged: it is no record of a stage")
    known = record.pop("checksum", None)
    if known != checksum_of(record) or not all(map(_is_inside, record["files"])):
        raise DamagedError(RECORD, "is damaged: its checksum is another one")
    return record


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def explain_damage(error: DamagedError, folder: Path) -> str:
    """What a user is told of a damaged stage, with the cure."""
    return f"{error.say(folder)}; run the spec of this run again: the stage is made again"
