"""A folder in the table of runs."""

from __future__ import annotations

from dataclasses import dataclass

FINISHED, RUNNING, STOPPED, BROKEN, FOREIGN = (
    *("finished", "running", "stopped", "broken"),
    "foreign",
)


@dataclass(frozen=True)
class Row:
    """A folder in the table of runs.

    Attributes:
        name: Path below the folder of runs, which names it everywhere.
        state: ``finished``, ``running``, ``stopped``, ``broken``, ``foreign``, or what alone is
            there, such as ``estimate alone``.
        kind: ``run``, ``data check``, or the command of a study.
        said: Why it is broken or foreign, which stage is under way, or where it stopped; empty:
            nothing to say.
        data: Name of the data set.
        method: Method of distillation.
        metric: Label of the metric.
        value: The student's metric on the test images, in [0, 1]; None: not known.
        low: Lower end of its 95 % interval; None: the results do not tell.
        high: Upper end.
        teacher: The teacher's metric.
        estimate: What was estimated before training.
        kernels: Number of optical kernels.
        parameters: Number of digital parameters.
        seconds: What all stages took.
        finished: When it ended, ISO 8601.
        has_report: Whether it has a report.
        deployed: Whether it can answer a camera.
    """

    name: str
    state: str
    kind: str = "run"
    said: str = ""
    data: str = ""
    method: str = ""
    metric: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    teacher: float | None = None
    estimate: float | None = None
    kernels: int | None = None
    parameters: int | None = None
    seconds: float | None = None
    finished: str = ""
    has_report: bool = False
    deployed: bool = False
