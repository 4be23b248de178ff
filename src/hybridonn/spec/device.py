"""Where networks are trained, stated once for all trainings of a spec."""

from __future__ import annotations

from typing import Any


def share_device(tree: dict[str, Any]) -> dict[str, Any]:
    """Let every training that states no device have that of the student's.

    Args:
        tree: A spec before it is validated; sections of a wrong type are left to the validation.
    """
    training = tree.get("training")
    device = training.get("device", "auto") if isinstance(training, dict) else "auto"
    if device == "auto":
        return tree
    shared = dict(tree)
    for name, unstated in (("teacher", {}), ("compensation", None)):
        section = tree.get(name, unstated)
        if not isinstance(section, dict):
            continue
        own = section.get("training", {})
        if isinstance(own, dict) and own.get("device", "auto") == "auto":
            shared[name] = section | {"training": own | {"device": device}}
    return shared
