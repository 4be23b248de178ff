"""Files and folders that are being written: hidden names, locks, and what killed processes left.

What is not complete lies beside its final name as ``.NAME.PROCESS@HOST.part``. The name tells
whose it is, so that the next command can remove what a killed process left and nothing else.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

from hybridonn.core.errors import ArtefactError

# Of another machine, or of a system that does not tell which processes run.
_ABANDONED_S = 7 * 24 * 3600.0
_NAME = re.compile(r"\..+\.(\d+)@([^@]*)\.part", re.DOTALL)


def part_of(path: Path) -> Path:
    """The hidden name under which this process writes a file or a folder until it is complete."""
    return path.with_name(f".{path.name}.{os.getpid()}@{_host()}.part")


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """A new, empty, hidden folder beside a path; it is removed when the context ends.

    Before that, :func:`sweep` removes what killed processes left beside it.

    Args:
        path: What is made in the folder and then moved out of it, or the folder itself.

    Raises:
        OSError: The folder cannot be made.
    """
    sweep(path.parent)
    part = part_of(path)
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def sweep(folder: Path, name: str | None = None) -> None:
    """Remove the parts in a folder whose process is gone.

    Args:
        folder: Where they lie.
        name: Name of the file or folder that they were to become; None: any name.
    """
    pattern = ".*.part" if name is None else f".{escape(name)}.*.part"
    with suppress(OSError):
        for path in folder.glob(pattern):
            match = _NAME.fullmatch(path.name)
            if match and _is_abandoned(path, int(match[1]), match[2]):
                remove(path)


def remove(path: Path) -> None:
    """Remove a file or a folder with all that it holds, if it is there and can be removed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def put_new_folder(part: Path, folder: Path) -> None:
    """Give a complete folder its name, and leave alone what was put there meanwhile.

    Args:
        part: The complete folder, on the same disk.
        folder: Its name; nothing, or an empty folder.

    Raises:
        OSError: Something lies there, or the folder cannot be moved.
    """
    with suppress(FileNotFoundError):
        folder.rmdir()
    part.rename(folder)


def put_folder(part: Path, folder: Path, lock: Path, is_sound: Callable[[Path], bool]) -> None:
    """Give a complete folder its shared name, unless another process was as fast.

    Processes take turns, so that none removes what another one has just put there.

    Args:
        part: The complete folder, beside its name.
        folder: Its name.
        lock: The file by which processes take turns.
        is_sound: Whether what lies under the name already is as good.

    Raises:
        OSError: The folder cannot be moved.
    """
    with hold(lock, wait=True):
        if is_sound(folder):
            return
        damaged = part_of(folder.with_name(f"{folder.name}.damaged"))
        remove(damaged)
        if folder.exists():
            folder.rename(damaged)
        part.rename(folder)
        remove(damaged)


@contextmanager
def hold(path: Path, wait: bool) -> Iterator[bool]:
    """Hold a lock as long as the context lasts; the system releases that of a killed process.

    Args:
        path: The file that stands for the lock; it is made and stays.
        wait: Wait until it is free.

    Yields:
        Whether it is held: without ``wait``, False where another one holds it.

    Raises:
        OSError: The file cannot be made.
        ArtefactError: The file system knows no locks.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path, timeout=-1 if wait else 0)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    except NotImplementedError:
        raise ArtefactError(
            f"the file system of {path.parent} knows no locks, so that two commands could write "
            "into one folder; choose a folder on another disk"
        ) from None
    try:
        yield True
    finally:
        lock.release()


def _is_abandoned(path: Path, process: int, host: str) -> bool:
    if host == _host() and os.name == "posix":
        return not _runs(process)
    try:
        return time.time() - path.stat().st_mtime > _ABANDONED_S
    except OSError:
        return False


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)  # signal 0 asks whether the process is there and does nothing
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # it is another user's
    return True


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", platform.node())[:60]
