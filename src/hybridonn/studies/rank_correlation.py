"""Spearman's rank correlation with its interval."""

from __future__ import annotations

import numpy as np

from hybridonn.reports.statistics import rank_interval


def correlate(found: np.ndarray, trained: np.ndarray) -> dict[str, float | None]:
    """Spearman's correlation of estimated and trained values, (N,), with its 95 % interval.

    The interval is None where there are too few values, or one list is constant.

    Args:
        found: What was estimated.
        trained: What training reached.
    """
    correlation = spearman(found, trained)
    interval = None if correlation is None else rank_interval(correlation, len(found))
    low, high = interval or (None, None)
    return {"spearman": correlation, "spearman_low": low, "spearman_high": high}


def spearman(first: np.ndarray, second: np.ndarray) -> float | None:
    """Spearman's rank correlation of two lists, (N,); None: one is constant, and has no ranks."""
    from scipy.stats import rankdata

    one, two = (rankdata(values) - (len(values) + 1) / 2 for values in (first, second))
    scale = float(np.sqrt((one @ one) * (two @ two)))
    return float(one @ two) / scale if scale else None
