"""Points of a long computation, kept on disk one by one, so that it can be interrupted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import IO, Any

from hybridonn.core.errors import ArtefactError
from hybridonn.core.files import write_text


class Journal:
    """Values by key, appended as they come; a line that is torn or damaged costs its value alone.

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

    @property
    def values(self) -> Mapping[str, Any]:
        """All values by key, in the order in which they came."""
        return MappingProxyType(self._values)

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
    """Lines of JSON mappings; what a kill or damage left of a line is dropped, no other line is."""
    try:
        content = path.read_bytes()
    except OSError:
        return []
    lines = (_decode(line) for line in content.split(b"\n")[:-1])
    return [line for line in lines if line is not None]


def _decode(line: bytes) -> str | None:
    try:
        text = line.decode()
        tree = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return text if isinstance(tree, dict) else None
