"""Groups of images that every part of a data set holds in the same proportion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

SHARE_GROUPS = 4
_SMALLEST_GROUP = 10  # of a set too small for four groups, fewer are made


@dataclass(frozen=True)
class Strata:
    """The group of each image.

    Attributes:
        groups: Group of each image, (N,), integers from 0.
        names: Names of the groups; group k has the k-th.
        kind: What the groups are, in the plural, for messages.
    """

    groups: np.ndarray
    names: tuple[str, ...]
    kind: str


def rank_strata(values: Tensor, by: str) -> Strata:
    """Four equal groups of images by a number of each; fewer where there are few images.

    Args:
        values: A number of each image, (N,); equal ones are ranked in their order.
        by: What the number is, for messages.
    """
    count = len(values)
    groups = max(1, min(SHARE_GROUPS, count // _SMALLEST_GROUP))
    ranks = np.empty(count, dtype=np.int64)
    ranks[np.argsort(values.numpy(), kind="stable")] = np.arange(count)
    names = tuple(f"{number + 1} of {groups} by {by}" for number in range(groups))
    return Strata(ranks * groups // count, names, f"groups by {by}")


def one_stratum(count: int) -> Strata:
    """All images in one group.

    Args:
        count: Number of images.
    """
    return Strata(np.zeros(count, dtype=np.int64), ("image",), "images")
