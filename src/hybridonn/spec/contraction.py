"""What a row of a tangent kernel is where the spec leaves it open: an image, or a pixel."""

from __future__ import annotations

from typing import Any

from hybridonn.distillation.methods import is_own_code
from hybridonn.tasks.table import TASKS


def choose_contraction(tree: dict[str, Any]) -> dict[str, Any]:
    """Let the kernels of a task that answers each pixel or cell be of pixels, if nothing is stated.

    From few labelled images of nuclei, kernels of pixels are ahead of KD and those of images behind
    it (docs/results/nuclei_and_cells.md). Kernels of images are kept where those of pixels would
    take a backward pass for each pixel (layers before the last, and networks of the user's own,
    which may end otherwise), and where random signs are asked for.

    Args:
        tree: A spec before it is validated; sections of a wrong type are left to the validation.
    """
    task, distillation = TASKS.get(str(tree.get("task"))), tree.get("distillation", {})
    tangent = distillation.get("tangent", {}) if isinstance(distillation, dict) else None
    if task is None or task.answers == "image" or not isinstance(tangent, dict):
        return tree
    stated = tangent.get("contraction") is not None or tangent.get("probes") is not None
    if stated or tangent.get("layers", "last") != "last" or _is_own(tree):
        return tree
    chosen = tangent | {"contraction": "pixels"}
    return tree | {"distillation": distillation | {"tangent": chosen}}


def _is_own(tree: dict[str, Any]) -> bool:
    """Whether the student's backend or the teacher is code of the user's own."""
    parts = (("student", "backend"), ("student", "name"), ("teacher", "name"))
    sections = ((tree.get(section), key) for section, key in parts)
    return any(isinstance(one, dict) and is_own_code(str(one.get(key))) for one, key in sections)
