"""The teachers that a spec can name; the user's own are named as ``package.module:callable``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class BuiltInTeacher:
    """What the spec knows of a teacher without importing it.

    Attributes:
        code: What makes it, ``"package.module:attribute"``.
        task: The name of the task that it serves.
    """

    code: str
    task: str


TEACHERS: Mapping[str, BuiltInTeacher] = MappingProxyType(
    {
        "lenet": BuiltInTeacher("hybridonn.networks.teachers.lenet:LeNet", "classification"),
        "alexnet": BuiltInTeacher("hybridonn.networks.teachers.alexnet:AlexNet", "classification"),
        "airbench": BuiltInTeacher(
            "hybridonn.networks.teachers.resnet:AirbenchNet", "classification"
        ),
        "resnet18": BuiltInTeacher("hybridonn.networks.teachers.resnet:resnet18", "classification"),
        "resnet50": BuiltInTeacher("hybridonn.networks.teachers.resnet:resnet50", "classification"),
        "u-net": BuiltInTeacher("hybridonn.networks.teachers.unet:UNet", "segmentation"),
        "resu-net": BuiltInTeacher(
            "hybridonn.networks.teachers.unet:residual_unet", "segmentation"
        ),
    }
)
# The form that `hybridonn.core.tables.resolve` takes.
TEACHER_CODE: Mapping[str, str] = MappingProxyType(
    {name: teacher.code for name, teacher in TEACHERS.items()}
)
