"""The systems of the paper by name: a plain table."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

# The systems of Xiang et al. 2025 (arXiv 2508.08421): kernels and sizes are the paper's, the
# backends' widths keep to its numbers of parameters (0.05, 1.62 and 1.06 million).
SYSTEMS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "compressed_meta": {},
        "polychromatic_meta": {
            "kernels": 16,
            "kernel_size": 7,
            "pooled_size": 10,
            "hidden": (768, 480),
        },
        "polychromatic_segmentation": {
            "branches": (
                {"kernels": 8, "kernel_size": 3, "binning": 1},
                {"kernels": 16, "kernel_size": 3, "binning": 2},
                {"kernels": 32, "kernel_size": 3, "binning": 4},
            ),
            "kernel_size": 3,
            "backend": "pyramid",
            "normalisation": "batch",
            "hidden": (16, 48, 128),
        },
        "extreme_meta": {
            "branches": (
                {"kernels": 16, "kernel_size": 3, "binning": 1},
                {"kernels": 40, "kernel_size": 3, "binning": 4},
            ),
            "kernel_size": 3,
            "backend": "coarse_fine",
            "normalisation": "batch",
            "hidden": (16, 96),
        },
        "random_kernels": {"optics": "random", "hidden": ()},
    }
)
