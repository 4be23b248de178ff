"""Wave optics for design: light through free space, metasurfaces, their fabrication and layout.

The names below are the public front; they are imported when they are first used, so that
``import hybridonn.optics`` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hybridonn.optics.waves.free_space import propagate_to
    from hybridonn.optics.waves.method import Choice, choose_method
    from hybridonn.optics.waves.plane import Plane
    from hybridonn.optics.waves.propagation import Propagator
    from hybridonn.optics.waves.sampling import SamplingReport, SamplingWarning, check_sampling
    from hybridonn.optics.waves.sources import gaussian_beam, plane_wave, thin_lens

_HOMES = {
    "Choice": "method",
    "Plane": "plane",
    "choose_method": "method",
    "propagate_to": "free_space",
    "Propagator": "propagation",
    "SamplingReport": "sampling",
    "SamplingWarning": "sampling",
    "check_sampling": "sampling",
    "gaussian_beam": "sources",
    "plane_wave": "sources",
    "thin_lens": "sources",
}

__all__ = [
    "Choice",
    "Plane",
    "Propagator",
    "SamplingReport",
    "SamplingWarning",
    "check_sampling",
    "choose_method",
    "gaussian_beam",
    "plane_wave",
    "propagate_to",
    "thin_lens",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.waves.{_HOMES[name]}"), name)
