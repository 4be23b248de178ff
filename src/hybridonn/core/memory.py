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
