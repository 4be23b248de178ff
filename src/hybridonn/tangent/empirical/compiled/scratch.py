"""Folders for what is being compiled, and what killed processes left of theirs."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """A new hidden folder within a folder, removed when the context ends.

    Before that, those of processes that no longer run on this machine are removed.

    Args:
        folder: On the same disk as where the result belongs, so that it can be moved there.

    Raises:
        OSError: The folder cannot be written.
    """
    host = re.sub(r"\W", "-", platform.node())
    for path in folder.glob(f".*@{host}.part"):
        if _is_gone(path.name[1:].partition("@")[0]):
            shutil.rmtree(path, ignore_errors=True)
    part = folder / f".{os.getpid()}@{host}.part"
    part.mkdir(mode=0o700)
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _is_gone(process: str) -> bool:
    if os.name != "posix" or not process.isdecimal():
        return False
    if int(process) == os.getpid():
        return True  # of an earlier process with this number
    try:
        os.kill(int(process), 0)  # signal 0 asks whether the process is there and does nothing
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False  # it is another user's, or no process
    return False
