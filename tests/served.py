"""A page that is served in a process of its own: NiceGUI serves one application in each."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


def find_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serve_apart(code: str, port: int, seconds: float) -> Iterator[str]:
    """The address of what a piece of Python serves on a port, from its start to an interrupt.

    Args:
        code: Serves, until it is interrupted.
        port: The port.
        seconds: In which it must listen.
    """
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    deadline = time.perf_counter() + seconds
    while not _listens(port):
        assert process.poll() is None, process.stderr
        assert time.perf_counter() < deadline
        time.sleep(0.1)
    yield f"http://127.0.0.1:{port}"
    process.send_signal(signal.SIGINT)
    process.wait(20)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
