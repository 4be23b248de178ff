"""The tasks that a spec can name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class BuiltInTask:
    """What the spec knows of a task without importing it.

    Attributes:
        code: The class, ``"package.module:attribute"``.
        answers: What it asks an answer for, ``"image"`` or ``"pixel"``: the backends and the
            teachers with the same word serve it.
    """

    code: str
    answers: str


TASKS: Mapping[str, BuiltInTask] = MappingProxyType(
    {
        "classification": BuiltInTask("hybridonn.tasks.classification:Classification", "image"),
        "segmentation": BuiltInTask("hybridonn.tasks.segmentation:Segmentation", "pixel"),
    }
)
# The form that `hybridonn.core.tables.resolve` takes.
TASK_CODE: Mapping[str, str] = MappingProxyType({name: task.code for name, task in TASKS.items()})
