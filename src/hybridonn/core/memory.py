"""How much memory a process may still take."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def free_bytes() -> int:
    """Memory that this process can still take, bytes: what the system has left and its limits.

    Where the system does not say, all of its memory; where it does not even say that, 2^40.
    """
    known = [2**40]
    with suppress(OSError, ValueError, AttributeError):
        known.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
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
