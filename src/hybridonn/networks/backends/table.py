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
        task: The name of the task that it serves.
        branches: The fewest and the most branches of a student that it joins; (0, 0): it takes
            a student without branches. None: there is no upper limit.
    """

    code: str
    task: str
    branches: tuple[int, int | None] = (0, 0)


BACKENDS: Mapping[str, BuiltInBackend] = MappingProxyType(
    {
        "dense": BuiltInBackend("hybridonn.networks.backends.dense:DenseBackend", "classification"),
        "pyramid": BuiltInBackend(
            "hybridonn.networks.backends.pyramid:PyramidBackend", "segmentation", (2, None)
        ),
        "coarse_fine": BuiltInBackend(
            "hybridonn.networks.backends.coarse_fine:CoarseFineBackend", "segmentation", (2, 2)
        ),
        "upsampling": BuiltInBackend(
            "hybridonn.networks.backends.upsampling:UpsamplingBackend", "segmentation"
        ),
    }
)
# The form that `hybridonn.core.tables.resolve` takes.
BACKEND_CODE: Mapping[str, str] = MappingProxyType(
    {name: backend.code for name, backend in BACKENDS.items()}
)


def list_backends(task: str) -> list[str]:
    """The names of the built-in backends that serve a task."""
    return [name for name, backend in BACKENDS.items() if backend.task == task]
