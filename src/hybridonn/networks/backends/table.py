"""The backends that a spec can name; the user's own are named as ``package.module:callable``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class BuiltInBackend:
    """What the spec knows of a backend without importing it.

    Attributes:
        code: The class, ``"package.module:attribute"``.
        answers: What it gives an answer for, ``"image"``, ``"pixel"`` or ``"cell"``; it serves
            every task that asks for the same.
        branches: The fewest and the most branches of a student that it joins; (0, 0): it takes
            a student without branches. None: there is no upper limit.
    """

    code: str
    answers: str
    branches: tuple[int, int | None] = (0, 0)


BACKENDS: Mapping[str, BuiltInBackend] = MappingProxyType(
    {
        "dense": BuiltInBackend("hybridonn.networks.backends.dense:DenseBackend", "image"),
        "pyramid": BuiltInBackend(
            "hybridonn.networks.backends.pyramid:PyramidBackend", "pixel", (2, None)
        ),
        "coarse_fine": BuiltInBackend(
            "hybridonn.networks.backends.coarse_fine:CoarseFineBackend", "pixel", (2, 2)
        ),
        "upsampling": BuiltInBackend(
            "hybridonn.networks.backends.upsampling:UpsamplingBackend", "pixel"
        ),
        "centre": BuiltInBackend(
            "hybridonn.networks.backends.centre:CentreBackend", "cell", (2, None)
        ),
    }
)
# The form that `hybridonn.core.tables.resolve` takes.
BACKEND_CODE: Mapping[str, str] = MappingProxyType(
    {name: backend.code for name, backend in BACKENDS.items()}
)


def list_backends(answers: str) -> list[str]:
    """The names of the built-in backends that answer an ``"image"``, ``"pixel"`` or ``"cell"``."""
    return [name for name, backend in BACKENDS.items() if backend.answers == answers]
