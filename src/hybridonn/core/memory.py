"""How much memory there is, the refusal of what takes more, and memory that is used again."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from pathlib import Path

from hybridonn.core.errors import SpecError

# What Linux lets the processes of a container take together, by the version of control groups.
CONTAINER_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
# glibc's mallopt: the parameters' numbers, of malloc.h.
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
KEPT_BYTES = 2**30
PADDING_BYTES = 2**26
# What a user sets these by.
MALLOC_SETTINGS = (
    "MALLOC_TRIM_THRESHOLD_",
    "MALLOC_TOP_PAD_",
    "MALLOC_MMAP_THRESHOLD_",
    "GLIBC_TUNABLES",
)


def keep_freed_memory() -> bool:
    """Let this process use freed memory again where glibc would hand it back to the system.

    A training step frees and allocates the same large tensors. By default glibc returns each of
    them to the kernel, which clears its pages anew: half of a step's time. From now on up to 1 GiB
    stays with the process. What the user chose for malloc in the environment holds.

    Returns:
        Whether it was set: False without glibc, or where the environment says otherwise.
    """
    if any(name in os.environ for name in MALLOC_SETTINGS):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt  # glibc's name for itself
    except (OSError, AttributeError):
        return False
    set_ones = [
        mallopt(MMAP_THRESHOLD, KEPT_BYTES),
        mallopt(TRIM_THRESHOLD, KEPT_BYTES),
        mallopt(TOP_PAD, PADDING_BYTES),
    ]
    return all(set_ones)


def refuse_beyond_memory(size: float, what: str, cure: str, available: int | None = None) -> None:
    """Refuse what takes more memory than there is.

    Args:
        size: Bytes that it takes.
        what: What takes them, as the subject of a sentence.
        cure: What to change.
        available: Bytes that there are, on another device; None: those of this machine.

    Raises:
        SpecError: It takes more.
    """
    most = machine_bytes() if available is None else available
    if size > most:
        raise SpecError(
            f"{what} would take {say_bytes(size)} of memory, and there is {say_bytes(most)}; {cure}"
        )


def machine_bytes() -> int:
    """All memory that this machine, its container or a limit lets a process take, in bytes.

    Where the system does not say, 2^40.
    """
    known = [2**40]
    with suppress(OSError, ValueError, AttributeError):
        known.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for path in CONTAINER_LIMITS:
        with suppress(OSError, ValueError):  # no container, or "max": no limit
            known.append(int(path.read_text("ascii")))
    with suppress(ImportError, OSError, ValueError):
        import resource  # not on Windows

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            known.append(limit)
    return min(known)


def free_bytes() -> int:
    """Memory that this process can still take, bytes: what the system has left and its limits.

    Where the system does not say, all of its memory; where it does not even say that, 2^40.
    """
    known = [machine_bytes()]
    with suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        known += [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    with suppress(ImportError, OSError, ValueError, IndexError):
        import resource  # not on Windows

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
            known.append(max(0, limit - pages * os.sysconf("SC_PAGE_SIZE")))
    return min(known)


def say_bytes(size: float) -> str:
    """A number of bytes in words: ``1.5 GB``."""
    if size >= 1e15:
        return "more than a petabyte"
    for unit, power in (("TB", 12), ("GB", 9), ("MB", 6), ("kB", 3)):
        if size >= 10**power:
            return f"{size / 10**power:.3g} {unit}"
    return f"{size:.0f} bytes"
