"""How a command ends early: one sentence and an exit status."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

INTERRUPTED = 130  # 128 + SIGINT, as shells have it
STOPPED = "stopped; run the same command again to go on where it was"
NO_MEMORY = (
    "error: memory is used up; lower data.size_pixels, training.batch_size or the sizes of the "
    "networks, or run it on another machine; earlier results are untouched"
)


def stop() -> NoReturn:
    """End after Ctrl-C; a second one ends the process at once, without a traceback."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    give_up(STOPPED, INTERRUPTED)


def give_up(sentence: str, status: int) -> NoReturn:
    """Say one sentence on the error stream and exit; with ``--debug`` after the traceback."""
    if os.environ.get("HYBRIDONN_DEBUG"):
        import traceback

        traceback.print_exc()
    print(sentence, file=sys.stderr)  # noqa: T201
    sys.exit(status)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch was refused memory, which it says in words alone."""
    said = str(error).lower()
    return any(word in said for word in ("out of memory", "not enough memory", "allocate memory"))
