"""What the user states: one validated, typed, frozen tree.

Every key carries its unit in its name. Unknown keys and impossible values are
refused with the key, what was found, what is allowed and the nearest known key
(see :mod:`hybridonn.spec.explain`).
"""

from hybridonn.spec.compensation import Compensation
from hybridonn.spec.data import Data
from hybridonn.spec.estimate import Estimate
from hybridonn.spec.fabrication import Fabrication
from hybridonn.spec.four_f import FourF
from hybridonn.spec.measured import Measured
from hybridonn.spec.metasurface import Metasurface
from hybridonn.spec.narrow import narrow
from hybridonn.spec.optics import Optics
from hybridonn.spec.section import Section, UndeclaredReadError
from hybridonn.spec.sensor import Sensor
from hybridonn.spec.student import Branch, Student
from hybridonn.spec.training import (
    Augmentation,
    Distillation,
    Method,
    Tangent,
    Teacher,
    Training,
    Tuned,
    Tuning,
)
from hybridonn.spec.tree import Spec, checksum_spec, default_tree, dump_spec, read_spec, validate

__all__ = [
    "Augmentation",
    "Branch",
    "Compensation",
    "Data",
    "Distillation",
    "Estimate",
    "Fabrication",
    "FourF",
    "Measured",
    "Metasurface",
    "Method",
    "Optics",
    "Section",
    "Sensor",
    "Spec",
    "Student",
    "Tangent",
    "Teacher",
    "Training",
    "Tuned",
    "Tuning",
    "UndeclaredReadError",
    "checksum_spec",
    "default_tree",
    "dump_spec",
    "narrow",
    "read_spec",
    "validate",
]
