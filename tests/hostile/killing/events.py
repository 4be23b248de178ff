"""Counts what a process does to files; kills it at one of these events, or fills its disk."""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Python's own audit events (Python documentation, "Audit events table") that change a folder.
CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.link", "os.symlink")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass(frozen=True)
class Full:
    """From where on a disk is full.

    Attributes:
        event: Number of the file event, from 1, from which on nothing new can be written.
        most_bytes: From the beginning, no file can become larger; None: any size.
    """

    event: int
    most_bytes: int | None = None


@dataclass(frozen=True)
class Kill:
    """Where a process ends.

    Attributes:
        event: Number of the file event, from 1, before which it is killed.
        torn: Where the event gives a complete file its name, only half of the file is there, as
            if the process had been killed while it wrote.
    """

    event: int
    torn: bool = False


class Watch:
    """Counts the events under some folders, and disturbs the process at one of them.

    Args:
        roots: The folders.
        disturbance: What happens, and where; None: nothing.
    """

    def __init__(self, roots: tuple[Path, ...], disturbance: Kill | Full | None = None) -> None:
        self.count = 0
        self._roots = tuple(str(root.resolve()) + os.sep for root in roots)
        self._disturbance = disturbance
        self._busy = False

    def begin(self) -> None:
        """Watch this process from now on, for ever: an audit hook cannot be taken away."""
        if isinstance(self._disturbance, Full) and self._disturbance.most_bytes is not None:
            most = self._disturbance.most_bytes
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
        sys.addaudithook(self._hear)
        self._synced(os, "fsync")

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._busy:
            return
        self._busy = True  # what is done here makes events, too
        try:
            if event == "open":
                path, mode, flags = arguments
                writes = bool(flags & WRITING) if mode is None else any(c in mode for c in "wax+")
                if writes and self._is_ours(path):
                    self._happen(None, takes_room=True)
            elif event in CHANGES:
                if self._is_ours(arguments[0]):
                    renamed = arguments[0] if event == "os.rename" else None
                    self._happen(renamed, takes_room=event == "os.mkdir")
            elif event == "subprocess.Popen":
                self._happen(None)
        finally:
            self._busy = False

    def _synced(self, module: Any, name: str) -> None:
        real: Callable[[int], None] = getattr(module, name)

        def sync(descriptor: int) -> None:
            self._happen(None)
            real(descriptor)

        setattr(module, name, sync)

    def _is_ours(self, path: Any) -> bool:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return False
        whole = os.path.abspath(os.fsdecode(path))  # noqa: PTH100  it need not exist
        return (whole + os.sep).startswith(self._roots)

    def _happen(self, renamed: Any, *, takes_room: bool = False) -> None:
        self.count += 1
        if isinstance(self._disturbance, Full):
            if takes_room and self.count >= self._disturbance.event:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        elif self._disturbance and self.count == self._disturbance.event:
            if self._disturbance.torn and renamed is not None and Path(renamed).is_file():
                os.truncate(renamed, Path(renamed).stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
