"""Runs a command in a forked process, watched, so that nothing has to be imported again."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from killing.events import Full, Kill, Watch

KILLED = -9


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        status: Of its exit; -9: it was killed.
        events: File events that it came to; 0 where it was killed.
        said: What it printed.
    """

    status: int
    events: int
    said: str


def execute(
    home: Path, command: Callable[[], object], disturbance: Kill | Full | None = None
) -> Ended:
    """Run a command in a fresh copy of this process, with ``home`` as its folder and its cache.

    Args:
        home: The folder; its ``cache`` is the cache.
        command: What is run.
        disturbance: Where it is killed or its disk is full; None: it runs to its end.
    """
    said, counted = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        _be_child(home, command, disturbance, said[1], counted[1])
    os.close(said[1])
    os.close(counted[1])
    # Read to the end before waiting: a full pipe would hold the child.
    text, events = (os.fdopen(pipe[0], "rb").read() for pipe in (said, counted))
    _, status = os.waitpid(child, 0)
    return Ended(
        os.waitstatus_to_exitcode(status), int(events or 0), text.decode("utf-8", "replace")
    )


def _be_child(
    home: Path,
    command: Callable[[], object],
    disturbance: Kill | Full | None,
    said: int,
    counted: int,
) -> None:
    status = 1
    try:
        os.environ["HYBRIDONN_CACHE"] = str(home / "cache")
        os.chdir(home)
        sys.stdout = sys.stderr = os.fdopen(said, "w", 1, encoding="utf-8", errors="replace")
        os.dup2(said, 1)
        os.dup2(said, 2)
        watch = Watch((home,), disturbance)
        watch.begin()
        try:
            command()
            status = 0
        except SystemExit as ended:
            status = int(ended.code or 0) if isinstance(ended.code, int | None) else 1
        sys.stdout.flush()
        os.write(counted, str(watch.count).encode())
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


def type_in(*words: str) -> Callable[[], None]:
    """The command line ``hybridonn WORDS``."""

    def command() -> None:
        from hybridonn.cli.app import main

        sys.argv[:] = ["hybridonn", *words]
        main()

    return command
