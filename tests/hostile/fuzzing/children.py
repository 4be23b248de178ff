"""Reads inputs in child processes with bounds on memory and time; a crash costs one input."""

from __future__ import annotations

import errno
import faulthandler
import gc
import json
import mmap
import os
import resource
import shutil
import signal
import struct
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fuzzing.reader import Inputs
from fuzzing.swift_isolation import fork_instead_of_starting
from hybridonn.core.errors import HybridonnError

WALL_FACTOR = 10  # wall time also counts what other processes take; a reader that sleeps is rare
OWN_FAILURE = 9  # exit status of a child that failed itself, not the reader
STATE = struct.Struct("<qqqqd")  # number in work, refused, read, slowest number, its seconds


@dataclass(frozen=True)
class Limits:
    """What one input may take.

    Attributes:
        seconds: Of processor time, child processes of the reader included.
        memory_bytes: Beyond what the process holds before it reads.
    """

    seconds: float = 2.0
    memory_bytes: int = 10**9


@dataclass(frozen=True)
class Fault:
    """An input that did not end in a result or in the project's own error."""

    number: int
    kind: str  # traceback, time, memory or crash
    detail: str


@dataclass
class Tally:
    """What became of some inputs of one reader."""

    refused: int = 0
    read: int = 0
    slowest_number: int = -1
    slowest_seconds: float = 0.0
    faults: list[Fault] = field(default_factory=list)


def read_all(inputs: Inputs, numbers: range, limits: Limits, scratch: Path) -> Tally:
    """Read a range of inputs, in as many children, one after the other, as crashes ask for."""
    tally, at = Tally(), numbers.start
    while at < numbers.stop:
        folder = scratch / f"{inputs.reader.name}-{at}"
        folder.mkdir(parents=True)
        state = mmap.mmap(-1, STATE.size)
        STATE.pack_into(state, 0, at, 0, 0, -1, 0.0)
        child = os.fork()
        if child == 0:
            _be_child(inputs, range(at, numbers.stop), limits, folder, state)
        _, status = os.waitpid(child, 0)
        at = _collect(tally, status, state, folder)
        shutil.rmtree(folder, ignore_errors=True)
    return tally


def _collect(tally: Tally, status: int, state: mmap.mmap, folder: Path) -> int:
    """Add what a child has done; returns the number of the next input."""
    number, refused, read, slowest, seconds = STATE.unpack_from(state, 0)
    tally.refused += refused
    tally.read += read
    if seconds > tally.slowest_seconds:
        tally.slowest_number, tally.slowest_seconds = slowest, seconds
    noted = folder / "faults"
    for line in noted.read_text("utf-8").splitlines() if noted.exists() else ():
        tally.faults.append(Fault(**json.loads(line)))
    if (folder / "failure").exists():
        raise RuntimeError(
            f"input {number} was not made:\n{(folder / 'failure').read_text('utf-8')}"
        )
    if status:
        tally.faults.append(Fault(number, *_name_death(status)))
        return number + 1
    return number


def _name_death(status: int) -> tuple[str, str]:
    if not os.WIFSIGNALED(status):
        return "crash", f"exit status {os.waitstatus_to_exitcode(status)}"
    number = os.WTERMSIG(status)
    if number in (signal.SIGPROF, signal.SIGALRM):
        return "time", f"ended by {signal.Signals(number).name}"
    return "crash", signal.Signals(number).name


def _be_child(inputs: Inputs, numbers: range, limits: Limits, folder: Path, state) -> None:
    status = OWN_FAILURE
    try:
        quiet = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(quiet, stream)
        for timer in (signal.SIGPROF, signal.SIGALRM):
            signal.signal(timer, signal.SIG_DFL)
        os.chdir(folder)
        faulthandler.disable()  # of pytest: it would write of every crash
        warnings.simplefilter("ignore")
        gc.freeze()
        fork_instead_of_starting()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        noted = (folder / "faults").open("a", encoding="utf-8")
        with noted as faults, bounded_memory(limits.memory_bytes):
            _read_in_turn(inputs, numbers, limits, folder, state, faults)
        status = 0
    except BaseException:
        (folder / "failure").write_text(traceback.format_exc(), "utf-8", "replace")
    finally:
        os._exit(status)


def _read_in_turn(inputs: Inputs, numbers: range, limits: Limits, folder: Path, state, faults):
    refused = read = 0
    slowest, longest = -1, 0.0
    for number in numbers:
        STATE.pack_into(state, 0, number, refused, read, slowest, longest)
        place = folder / "input"
        place.mkdir()
        inputs.write(number, place)
        kind, detail, seconds = read_one(inputs.reader.read, place, limits)
        shutil.rmtree(place)
        refused += kind == "refused"
        read += kind == "read"
        if seconds > longest:
            slowest, longest = number, seconds
        if kind not in ("refused", "read"):
            faults.write(json.dumps({"number": number, "kind": kind, "detail": detail}) + "\n")
            faults.flush()
    STATE.pack_into(state, 0, numbers.stop, refused, read, slowest, longest)


def read_one(
    read: Callable[[Path], object], folder: Path, limits: Limits
) -> tuple[str, str, float]:
    """Read one input: what became of it, what to say of that, and the seconds it took."""
    before = _processor_seconds()
    signal.setitimer(signal.ITIMER_PROF, limits.seconds)
    signal.setitimer(signal.ITIMER_REAL, WALL_FACTOR * limits.seconds)
    try:
        read(folder)
        kind, detail = "read", ""
    except HybridonnError as error:
        kind, detail = "refused", str(error)
        if _lacked_memory(error):
            kind = "memory"
    except BaseException as error:  # whatever else comes is a fault, SystemExit too
        kind, detail = "traceback", _describe(error)
        if _lacked_memory(error):
            kind = "memory"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
    seconds = _processor_seconds() - before
    if seconds > limits.seconds:
        kind, detail = "time", f"{seconds:.1f} s"
    return kind, detail, seconds


@contextmanager
def bounded_memory(more: int) -> Iterator[None]:
    """Let this process take so many bytes beyond what it holds, as long as the context lasts."""
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (held + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _lacked_memory(error: BaseException) -> bool:
    """Whether an allocation failed, though a reader may have made another error of it."""
    seen: BaseException | None = error
    while seen is not None:
        out_of_memory = isinstance(seen, OSError) and seen.errno == errno.ENOMEM
        if isinstance(seen, MemoryError) or out_of_memory or "allocate memory" in str(seen):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _describe(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "hybridonn" in frame.filename]
    where = ours[-1] if ours else frames[-1]
    message = " ".join(str(error).split())[:200]
    return f"{Path(where.filename).name}:{where.lineno} {type(error).__name__}: {message}"


def _processor_seconds() -> float:
    """What this process and its ended children have taken."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
