"""Points of a long computation, kept on disk one by one, so that it can be interrupted."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from hybridonn.errors import ArtefactError
from hybridonn.files import write_text


class Journal:
    """Values by key, appended as they come; the last line may be torn, every other is whole.

    Args:
        path: The file. One that was begun with other settings is begun anew.
        settings: Everything that the values depend on beside their key.

    Raises:
        ArtefactError: The file cannot be written.
    """

    def __init__(self, path: Path, settings: Any) -> None:
        self._path = path
        self._head = json.dumps({"settings": settings})
        self._values: dict[str, Any] = {}
        self._file: IO[str] | None = None

    def __enter__(self) -> Journal:
        lines = _read_lines(self._path)
        same = bool(lines) and lines[0] == self._head
        for line in lines[1:] if same else []:
            self._values |= json.loads(line)
        kept = [self._head, *(json.dumps({k: v}) for k, v in self._values.items())]
        write_text(self._path, "".join(line + "\n" for line in kept))
        self._file = self._path.open("a", encoding="utf-8")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file:
            self._file.close()

    def get(self, key: str) -> Any:
        """The value kept under a key, or None."""
        return self._values.get(key)

    def add(self, key: str, value: Any) -> None:
        """Keep a value; it is on disk when this returns.

        Raises:
            ArtefactError: The disk is full.
        """
        assert self._file, "a journal is written within its context"
        try:
            self._file.write(json.dumps({key: value}) + "\n")
            self._file.flush()
        except OSError as error:
            raise ArtefactError(
                f"cannot write {self._path}: {error.strerror}; free some space, then run the same "
                "command again: the points so far are kept"
            ) from None
        self._values[key] = value


def _read_lines(path: Path) -> list[str]:
    """Whole lines of JSON mappings; a torn last line is dropped, a damaged file is begun anew."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    whole = text.split("\n")[:-1]
    try:
        trees = [json.loads(line) for line in whole]
    except (ValueError, RecursionError):
        return []
    return whole if all(isinstance(tree, dict) for tree in trees) else []
