"""Estimates of the accuracy of a design before training, by kernel ridge regression."""

from hybridonn.estimation.architecture import architecture_of, infinite_random_kernels
from hybridonn.estimation.estimate import (
    CurvePoint,
    Estimate,
    Settings,
    estimate_accuracy,
    estimate_from_kernel,
)

__all__ = [
    "CurvePoint",
    "Estimate",
    "Settings",
    "architecture_of",
    "estimate_accuracy",
    "estimate_from_kernel",
    "infinite_random_kernels",
]
