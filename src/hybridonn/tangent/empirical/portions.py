"""Slices that split work into portions of like size."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise


def chunks(total: int, size: float, start: int = 0) -> Iterator[slice]:
    """Slices of like size, at most ``size`` or one, that cover ``total`` numbers from a start."""
    count = 1 if size >= total else -(-total // max(int(size), 1))
    edges = [start + round(total * index / count) for index in range(count + 1)]
    for first, last in pairwise(edges):
        yield slice(first, last)
