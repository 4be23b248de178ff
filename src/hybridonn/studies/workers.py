"""Who does the runs of a study: what the options of its command ask for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Workers:
    """Who does the runs of a study.

    Attributes:
        count: Number of processes on this machine; None: this process.
    """

    count: int | None = None


HERE = Workers()
