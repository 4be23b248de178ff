"""The task of a finished run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hybridonn.tasks.table import TASKS

if TYPE_CHECKING:
    from hybridonn.tasks.task import Task


def find_task(names: Iterable[str], prefix: str = "") -> Task:
    """The task whose metric is among some names; the first of the table where none is.

    Args:
        names: Names of numbers or of columns.
        prefix: What stands before the metric in them.
    """
    from hybridonn.tasks.task import make_task  # imports torch

    known = set(names)
    tasks = [make_task(name) for name in TASKS]
    return next((task for task in tasks if prefix + task.metric in known), tasks[0])


def label_metric(metric: str) -> str:
    """What reports call a metric; of a metric that no task has its own name."""
    task = find_task([metric])
    return task.label if task.metric == metric else metric
