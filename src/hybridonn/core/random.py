"""All randomness of the project: a name, the seed and an index make a generator.

The seed of a draw is a hash of the three. So a new source of randomness, a name of its own,
changes no other draw, and no two draws are alike by chance of a sum. Nothing else in the
package makes a generator; :mod:`hybridonn.tangent`, which depends on torch alone, takes seeds.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, SupportsIndex

if TYPE_CHECKING:
    import numpy as np
    import torch

Index = str | SupportsIndex


def seed_of(name: str, *index: Index) -> int:
    """A 63-bit seed, the same on every machine.

    Args:
        name: What is drawn; no two draws share a name and a number of indices.
        index: The user's seed and whatever counts the draws, such as a chip and a kernel.

    Raises:
        TypeError: The name is no text, or an index is neither text nor an integer.
    """
    if not isinstance(name, str):
        raise TypeError(f"a draw is named by text, found {name!r}")
    # Integers of numpy and torch would print otherwise, and so give another seed.
    parts = (name, *(part if isinstance(part, str) else operator.index(part) for part in index))
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def seed_32_of(name: str, *index: Index) -> int:
    """A seed for libraries that take 32 bits, such as scikit-learn; see :func:`seed_of`."""
    return seed_of(name, *index) % 2**32


def generator_of(name: str, *index: Index, device: Any = "cpu") -> torch.Generator:
    """A generator of torch; see :func:`seed_of`. On the CPU torch keeps 32 bits of the seed."""
    import torch

    return torch.Generator(device).manual_seed(seed_of(name, *index))


def numpy_generator_of(name: str, *index: Index) -> np.random.Generator:
    """A generator of numpy; see :func:`seed_of`."""
    import numpy as np

    return np.random.Generator(np.random.PCG64(seed_of(name, *index)))


@contextmanager
def seeded(name: str, *index: Index) -> Iterator[None]:
    """Within this context torch draws from one seed; outside nothing changes.

    For what takes no generator, such as the start of a layer's weights and dropout.
    See :func:`seed_of`.
    """
    import torch

    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed_of(name, *index))
        yield


def sorting_keys(count: int, seed: int) -> np.ndarray:
    """Random keys by which a data set is divided, (count,) uint64.

    They are made of the seed alone, as before there were names: every trained student depends
    on them. Raw numbers of PCG64 are used since numpy keeps their stream the same in all
    versions and on all machines (NEP 19), unlike what its ``Generator`` makes of them.
    """
    import numpy as np

    return np.random.PCG64(np.random.SeedSequence(seed)).random_raw(count)
