"""Who does the runs of a study: what the options of its command ask for."""

from __future__ import annotations

from dataclasses import dataclass

from hybridonn.core.errors import SpecError


@dataclass(frozen=True)
class Workers:
    """Who does the runs of a study.

    Attributes:
        count: Number of processes on this machine, or of jobs on a cluster; None: this process.
        scheduler: Address of a Dask scheduler; None: none.
        slurm: Whether workers are started as SLURM jobs.
    """

    count: int | None = None
    scheduler: str | None = None
    slurm: bool = False

    def __post_init__(self) -> None:
        if self.scheduler is not None and (self.slurm or self.count is not None):
            other = "--slurm" if self.slurm else "--workers"
            raise SpecError(
                f"--scheduler {self.scheduler}: the workers of a running cluster are used as they "
                f"are; leave {other} out"
            )
        if self.slurm and self.count is None:
            raise SpecError("--slurm: say with --workers how many jobs to start")


HERE = Workers()
