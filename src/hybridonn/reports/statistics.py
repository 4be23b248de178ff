"""How sure a measured accuracy or mIoU is."""

from __future__ import annotations

from math import sqrt

import numpy as np

Z_95 = 1.959963984540054  # the normal distribution holds 95 % within +-Z_95


def wilson_interval(correct: int, total: int) -> tuple[float, float]:
    """The 95 % score interval of a proportion, for independent test images.

    ``(p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)``
    (Wilson 1927, J. Am. Stat. Assoc. 22, 209).

    Args:
        correct: Rightly named images.
        total: All images, at least one.

    Returns:
        (low, high) in [0, 1].
    """
    share, z2n = correct / total, Z_95**2 / total
    middle = share + z2n / 2
    half = Z_95 * sqrt(share * (1 - share) / total + z2n / (4 * total))
    return max(0.0, (middle - half) / (1 + z2n)), min(1.0, (middle + half) / (1 + z2n))


def mean_interval(scores: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of a mean of independent images: mean +- z s / sqrt(n), within [0, 1].

    Args:
        scores: One an image, (N,); of a single image the interval is all of [0, 1].

    Returns:
        (low, high).
    """
    if len(scores) < 2:
        return 0.0, 1.0
    middle = float(scores.mean())
    half = Z_95 * float(scores.std(ddof=1)) / sqrt(len(scores))
    return max(0.0, middle - half), min(1.0, middle + half)
