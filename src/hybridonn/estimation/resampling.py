"""Error bars of an accuracy from resampling the test and the training images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from hybridonn.core.random import generator_of

BOOTSTRAP_DRAWS = 1000  # Efron & Tibshirani 1993, section 6.4: ample for a standard error


def bootstrap_error(right: Tensor, *, seed: int, draws: int = BOOTSTRAP_DRAWS) -> float:
    """Standard error of an accuracy from drawing the test images anew, with replacement.

    Args:
        right: Whether each test image is classified rightly, (N,) bool.
        seed: Seed of the draws.
        draws: How many.
    """
    generator = generator_of("resampled test images", seed)
    right = right.cpu().double()
    means = [
        right[torch.randint(len(right), (len(right),), generator=generator)].mean()
        for _ in range(draws)
    ]
    return float(torch.stack(means).std())


def jackknife_error(accuracies: Sequence[float], kept_fraction: float) -> float:
    """Standard error of an accuracy from leaving out a part of the training images.

    Delete-d jackknife (Shao & Wu 1989, eq. 2.3): with n images of which d are left
    out, variance (n - d) / d times the mean square deviation of the accuracies.

    Args:
        accuracies: Accuracies of fits to random subsets of the training images.
        kept_fraction: (n - d) / n.
    """
    values = torch.tensor(accuracies, dtype=torch.float64)
    return math.sqrt(kept_fraction / (1 - kept_fraction) * float(values.var(correction=0)))
