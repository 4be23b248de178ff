"""Neural Tangent Knowledge Distillation of hybrid optical neural networks.

From a physical size to a deployed network: lay out, teach, distil, report.
Method: Xiang et al., "Neural Tangent Knowledge Distillation for Optical
Convolutional Networks", NeurIPS 2025, arXiv 2508.08421.

The front door of a notebook::

    import hybridonn

    spec = hybridonn.read_spec("mine.yaml")
    hybridonn.estimate(spec, "runs/mine")["estimate"]["accuracy"]  # before any training
    hybridonn.run(spec, "runs/mine")
    run = hybridonn.load_run("runs/mine")
    student = run.student()  # an nn.Module
    answer = hybridonn.predict(run, images)
    hybridonn.compensate("runs/mine", "runs/mine/captures")  # a chip that came back
    behind_the_chip = run.compensated()

``hybridonn.tangent``, ``hybridonn.optics`` and ``hybridonn.networks`` are public, too.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hybridonn.pipeline.front_door import (
        captures_import,
        captures_template,
        compensate,
        cost,
        deploy,
    )
    from hybridonn.pipeline.loaded_run import LoadedRun, Prediction, load_run, predict
    from hybridonn.pipeline.run import estimate, run
    from hybridonn.spec import Spec, read_spec
    from hybridonn.studies.front_door import compare

__version__ = "0.1.0"

__all__ = [
    "LoadedRun",
    "Prediction",
    "Spec",
    "captures_import",
    "captures_template",
    "compare",
    "compensate",
    "cost",
    "deploy",
    "estimate",
    "load_run",
    "predict",
    "read_spec",
    "run",
]

# Imported when they are first asked for: torch alone takes seconds.
_ROOMS = {
    "LoadedRun": "hybridonn.pipeline.loaded_run",
    "Prediction": "hybridonn.pipeline.loaded_run",
    "Spec": "hybridonn.spec",
    "captures_import": "hybridonn.pipeline.front_door",
    "captures_template": "hybridonn.pipeline.front_door",
    "compare": "hybridonn.studies.front_door",
    "compensate": "hybridonn.pipeline.front_door",
    "cost": "hybridonn.pipeline.front_door",
    "deploy": "hybridonn.pipeline.front_door",
    "estimate": "hybridonn.pipeline.run",
    "load_run": "hybridonn.pipeline.loaded_run",
    "predict": "hybridonn.pipeline.loaded_run",
    "read_spec": "hybridonn.spec",
    "run": "hybridonn.pipeline.run",
}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return getattr(import_module(_ROOMS[name]), name)
    if name in ("networks", "optics", "tangent"):
        return import_module(f"hybridonn.{name}")
    raise AttributeError(f"module 'hybridonn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
