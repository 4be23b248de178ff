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
        answers: What it asks an answer for, ``"image"``, ``"pixel"`` or ``"cell"`` (of 4 x 4
            pixels): the backends and the teachers with the same word serve it.
        package: A module of the optional extra of the task's name, without which its metric cannot
            be measured; empty: it needs none.
    """

    code: str
    answers: str
    package: str = ""


TASKS: Mapping[str, BuiltInTask] = MappingProxyType(
    {
        "classification": BuiltInTask("hybridonn.tasks.classification:Classification", "image"),
        "segmentation": BuiltInTask("hybridonn.tasks.segmentation:Segmentation", "pixel"),
        "detection": BuiltInTask(
            "hybridonn.tasks.detection:Detection", "cell", package="faster_coco_eval"
        ),
    }
)
# The form that `hybridonn.core.tables.resolve` takes.
TASK_CODE: Mapping[str, str] = MappingProxyType({name: task.code for name, task in TASKS.items()})
