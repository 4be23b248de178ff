"""Runs a reader of foreign files in a fresh process with a bound on memory and time.

Libraries of binary formats (layout files, MATLAB files) may crash, never end or take all
memory on a damaged or hostile file. In a child process that costs an error message. The child
protects from accidents of such a library; it is no sandbox.

Arguments and results cross as JSON and plain arrays, never as pickle.
"""

from __future__ import annotations

import io
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from hybridonn.core import errors
from hybridonn.core.errors import HybridonnError

START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from hybridonn.core.isolation import serve; serve()"
)
# One thread: each further one reserves address space, which counts as memory.
SINGLE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class IsolationError(HybridonnError):
    """A file that its reader could not read within the bounds.

    Attributes:
        found: What happened, as the rest of a sentence, for a caller's own message.
    """

    def __init__(self, what: str, found: str) -> None:
        super().__init__(f"{what} cannot be read: {found}")
        self.found = found


def read_isolated(
    function: Callable[..., Any],
    *arguments: Any,
    what: str,
    memory_gb: float = 1.0,
    seconds: float = 30.0,
) -> Any:
    """Call a function in a fresh process and return what it returns.

    The process starts in about 0.2 s plus the import of the function's module.

    Args:
        function: A function at the top of an importable module.
        arguments: None, booleans, numbers, strings, paths, numpy arrays without objects, and
            lists, tuples and dicts of these; so must be what the function returns.
        what: What is read, as the subject of an error: ``the layout file chip.oas``.
        memory_gb: What the call may take beyond the imported module. Systems without
            ``RLIMIT_AS`` (Windows, macOS) do not enforce it.
        seconds: What the call may take, the start included.

    Raises:
        HybridonnError: The function raised it; class and message are the function's.
        IsolationError: The function raised any other error, crashed, or passed a bound.
    """
    request = {
        "module": function.__module__,
        "name": function.__qualname__,
        "arguments": arguments,
        "bounds": (memory_gb, seconds),
    }
    try:
        child = subprocess.run(
            [sys.executable, "-I", "-c", START, json.dumps(sys.path)],
            input=pack(request),
            capture_output=True,
            timeout=seconds,
            env=os.environ | SINGLE_THREAD,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise IsolationError(what, _too_long(seconds)) from None
    if child.returncode:
        raise IsolationError(what, _explain_death(child, memory_gb, seconds))
    reply = unpack(child.stdout)
    if "result" in reply:
        return reply["result"]
    if reply["error"] == "MemoryError":
        raise IsolationError(what, f"it would take more than {memory_gb:g} GB of memory")
    known = getattr(errors, reply["error"], None)
    if isinstance(known, type) and issubclass(known, HybridonnError):
        raise known(reply["message"])
    raise IsolationError(what, f"{reply['error']}: {reply['message']}".rstrip(": "))


def serve() -> None:
    """The child: read a request from standard input and write the reply to standard output."""
    # What a library prints must not mix with the reply.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    request = unpack(sys.stdin.buffer.read())
    function: Any = import_module(request["module"])
    for part in request["name"].split("."):
        function = getattr(function, part)
    _bound(*request["bounds"])
    try:
        content = pack({"result": function(*request["arguments"])})
    except Exception as error:  # every library has its own error for a damaged file
        content = pack({"error": type(error).__name__, "message": str(error)})
    out.write(content)
    out.close()


def pack(tree: Any) -> bytes:
    """Plain data and arrays as bytes: a line of JSON, then the arrays one after the other.

    Raises:
        TypeError: A value is of another type.
        ValueError: An array holds objects.
    """
    arrays: list[np.ndarray] = []
    head = json.dumps(_encode(tree, arrays))
    content = io.BytesIO()
    content.write(head.encode() + b"\n")
    for array in arrays:
        np.lib.format.write_array(content, array, allow_pickle=False)
    return content.getvalue()


def unpack(content: bytes) -> Any:
    """Unpack the value that :func:`pack` packed."""
    stream = io.BytesIO(content)
    return _decode(json.loads(stream.readline()), stream)


def _encode(value: Any, arrays: list[np.ndarray]) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [_encode(item, arrays) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [_encode(item, arrays) for item in value]}
    if isinstance(value, dict):
        return {"dict": [[_encode(key, arrays), _encode(v, arrays)] for key, v in value.items()]}
    if isinstance(value, Path):
        return {"path": str(value)}
    if isinstance(value, np.ndarray | np.generic):
        arrays.append(np.asarray(value))
        return {"array": isinstance(value, np.ndarray)}
    raise TypeError(f"a {type(value).__name__} cannot be passed between processes as plain data")


def _decode(value: Any, stream: io.BytesIO) -> Any:
    if isinstance(value, list):
        return [_decode(item, stream) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, inside),) = value.items()
    if kind == "tuple":
        return tuple(_decode(item, stream) for item in inside)
    if kind == "dict":
        return {_decode(key, stream): _decode(v, stream) for key, v in inside}
    if kind == "path":
        return Path(inside)
    array = np.lib.format.read_array(stream, allow_pickle=False)
    return array if inside else array[()]


def _bound(memory_gb: float, seconds: float) -> None:
    """Limit this process; beyond the memory, allocations fail as on a full machine."""
    with suppress(ImportError, ValueError, OSError):  # a system that has no such limits
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        # For a child whose parent was killed: nobody waits for it any more.
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds), hard))
        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (held + int(memory_gb * 1e9), hard))


def _explain_death(child: subprocess.CompletedProcess[bytes], memory_gb: float, s: float) -> str:
    if child.returncode == -getattr(signal, "SIGXCPU", 0):
        return _too_long(s)
    said = child.stderr.decode(errors="replace").strip().splitlines()
    last = f", saying {said[-1][:200]!r}" if said else ""
    return (
        f"it ended the program that reads it with {_name_status(child.returncode)}{last}: it is "
        f"damaged, or needs more than {memory_gb:g} GB of memory"
    )


def _name_status(status: int) -> str:
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"status {status}"


def _too_long(seconds: float) -> str:
    return f"it takes longer than {seconds:g} s, so it is probably damaged"
