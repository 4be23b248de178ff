"""The tasks that a spec can name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

TASKS: Mapping[str, str] = MappingProxyType(
    {
        "classification": "hybridonn.tasks.classification:Classification",
        "segmentation": "hybridonn.tasks.segmentation:Segmentation",
    }
)
