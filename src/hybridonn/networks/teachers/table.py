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
        answers: What it gives an answer for, ``"image"``, ``"pixel"`` or ``"cell"``; it serves
            every task that asks for the same.
    """

    code: str
    answers: str


TEACHERS: Mapping[str, BuiltInTeacher] = MappingProxyType(
    {
        "lenet": BuiltInTeacher("hybridonn.networks.teachers.lenet:LeNet", "image"),
        "alexnet": BuiltInTeacher("hybridonn.networks.teachers.alexnet:AlexNet", "image"),
        "airbench": BuiltInTeacher("hybridonn.networks.teachers.resnet:AirbenchNet", "image"),
        "resnet18": BuiltInTeacher("hybridonn.networks.teachers.resnet:resnet18", "image"),
        "resnet50": BuiltInTeacher("hybridonn.networks.teachers.resnet:resnet50", "image"),
        "u-net": BuiltInTeacher("hybridonn.networks.teachers.unet:UNet", "pixel"),
        "resu-net": BuiltInTeacher("hybridonn.networks.teachers.unet:residual_unet", "pixel"),
        "centre-u-net": BuiltInTeacher(
            "hybridonn.networks.teachers.centre_unet:CentreUNet", "cell"
        ),
    }
)
# The form that `hybridonn.core.tables.resolve` takes.
TEACHER_CODE: Mapping[str, str] = MappingProxyType(
    {name: teacher.code for name, teacher in TEACHERS.items()}
)


def list_teachers(answers: str) -> list[str]:
    """The names of the built-in teachers that answer an ``"image"``, ``"pixel"`` or ``"cell"``."""
    return [name for name, teacher in TEACHERS.items() if teacher.answers == answers]
