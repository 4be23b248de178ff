"""What the user states: one validated, typed, frozen tree.

Every key carries its unit in its name. Unknown keys and impossible values are
refused with the key, what was found, what is allowed and the nearest known key
(see :mod:`hybridonn.spec.explain`).
"""

from hybridonn.spec.data import Data
from hybridonn.spec.estimate import Estimate
from hybridonn.spec.optics import Optics
from hybridonn.spec.section import Section
from hybridonn.spec.student import Student
from hybridonn.spec.training import (
    METHODS,
    Augmentation,
    Distillation,
    Method,
    Tangent,
    Teacher,
    Training,
    Tuned,
    Tuning,
)
from hybridonn.spec.tree import Spec, default_tree, dump_spec, read_spec, validate

__all__ = [
    "METHODS",
    "Augmentation",
    "Data",
    "Distillation",
    "Estimate",
    "Method",
    "Optics",
    "Section",
    "Spec",
    "Student",
    "Tangent",
    "Teacher",
    "Training",
    "Tuned",
    "Tuning",
    "default_tree",
    "dump_spec",
    "read_spec",
    "validate",
]
