"""How long an image takes on this machine."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from statistics import median
from time import perf_counter
from typing import Any

import torch

ENOUGH_S = 0.3  # of calls
LEAST_CALLS, MOST_CALLS = 10, 2000


def measure_latency(call: Callable[[], Any]) -> dict[str, float]:
    """Least and median duration of a call, in microseconds; the first calls are left out."""
    for _ in range(3):
        call()
    durations: list[float] = []
    began = perf_counter()
    while len(durations) < LEAST_CALLS or perf_counter() - began < ENOUGH_S:
        start = perf_counter()
        call()
        durations.append(perf_counter() - start)
        if len(durations) == MOST_CALLS:
            break
    return {"least_us": 1e6 * min(durations), "median_us": 1e6 * median(durations)}


@contextmanager
def one_thread() -> Any:
    """Torch on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
