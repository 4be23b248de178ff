"""Randomness that is fixed by a seed and leaves no trace outside."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(*parts: object) -> Iterator[None]:
    """Within this context torch draws from a seed made of ``parts``; outside nothing changes.

    Args:
        parts: What the randomness belongs to, such as ``("weights", 3)``: other
            parts give unrelated draws.
    """
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed_of(*parts))
        yield


def generator_of(*parts: object) -> torch.Generator:
    """A CPU generator whose draws depend on ``parts`` alone."""
    return torch.Generator().manual_seed(seed_of(*parts))


def seed_of(*parts: object) -> int:
    """A 63-bit seed from any parts, the same on every machine."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
