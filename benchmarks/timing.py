"""How the benchmarks take times."""

from __future__ import annotations

import time


def minima(repeats: int, *functions) -> list[float]:
    """The shortest time of each function in seconds, called in turn."""
    best = [float("inf")] * len(functions)
    for turn in range(repeats + 1):
        for index, function in enumerate(functions):
            start = time.perf_counter()
            function()
            if turn:  # the first turn warms up
                best[index] = min(best[index], time.perf_counter() - start)
    return best
