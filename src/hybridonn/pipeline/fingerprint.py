"""The fingerprint of a stage: the hash of all that it is given.

A value of the spec counts as it is, a file that the spec names counts with its content: the same
file under another name gives the same fingerprint, another file under the same name does not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from hybridonn import __version__
from hybridonn.core.errors import ArtefactError
from hybridonn.core.user_code import hash_code
from hybridonn.spec import Section


def fingerprint(**parts: Any) -> str:
    """SHA-256 of everything that a stage depends on, this version of the software included.

    Args:
        **parts: Sections of the spec, paths of files and folders, and plain values.

    Raises:
        ArtefactError: A file that the spec names cannot be read.
    """
    tree = {name: describe(value, name) for name, value in parts.items()}
    text = json.dumps(tree | {"hybridonn": __version__}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def describe(value: Any, where: str) -> Any:
    """A value as JSON has it, each path replaced by the hash of what lies there.

    Args:
        value: What a stage is given.
        where: Its key, for the message.

    Raises:
        ArtefactError: A file cannot be read.
        TypeError: It is of a kind whose content is not known.
    """
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Path):
        return {"content": hash_content(value, where)}
    if isinstance(value, Section):
        return _describe_section(value, where)
    if isinstance(value, Mapping):
        return {str(key): describe(one, _join(where, key)) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [describe(one, where) for one in value]
    raise TypeError(f"{where} is a {type(value).__name__}, whose content cannot be hashed")


def hash_content(path: Path, where: str) -> str:
    """SHA-256 of a file, or of all files of a folder and their names.

    Raises:
        ArtefactError: It cannot be read.
    """
    path = path.expanduser()
    try:
        if not path.is_dir():
            return _hash_file(path)
        files = sorted(one for one in path.rglob("*") if one.is_file())
        names = [(one.relative_to(path).as_posix(), _hash_file(one)) for one in files]
    except OSError as error:
        raise ArtefactError(
            f"cannot read {where} {path}: {error.strerror or error}; name a file that can be "
            f"read, or leave {where} out"
        ) from None
    return hashlib.sha256(repr(names).encode()).hexdigest()


def _describe_section(section: Section, where: str) -> dict[str, Any]:
    # Of a section that was narrowed, what was left out counts for nothing.
    values = {key: one for key, one in vars(section).items() if key not in section.WITHOUT_EFFECT}
    tree: dict[str, Any] = {}
    name, arguments = section.CODE or ("", "")
    if name in values:
        # Where a user's own code lies does not matter, what it says does.
        tree["code"] = hash_code(values[name], values.pop("code_folder", None))
    if arguments in values:
        tree["files"] = _hash_arguments(values[arguments], _join(where, arguments))
    return tree | {key: describe(value, _join(where, key)) for key, value in values.items()}


def _join(where: str, key: str) -> str:
    return key if where in ("spec", "options") else f"{where}.{key}"


def _hash_arguments(value: Any, where: str) -> list[str]:
    """The content of the files that arguments of a user's own code name."""
    if isinstance(value, Mapping):
        return [found for one in value.values() for found in _hash_arguments(one, where)]
    if isinstance(value, list | tuple):
        return [found for one in value for found in _hash_arguments(one, where)]
    if not isinstance(value, str) or not value:
        return []
    try:
        path = Path(value).expanduser()
        return [hash_content(path, where)] if path.is_file() else []
    except (OSError, ValueError, RuntimeError):
        return []  # a text that is no path


def _hash_file(path: Path) -> str:
    state = path.stat()
    return _hash_once(path.absolute(), state.st_size, state.st_mtime_ns, state.st_ino)


@cache
def _hash_once(path: Path, size: int, time_ns: int, inode: int) -> str:
    """The hash of a file; a file that has not been written since is not read again."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
