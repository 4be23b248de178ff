"""The frontends that a spec can name: optics, and the digital layer in their place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class BuiltInFrontend:
    """What the spec knows of a frontend without importing it.

    Attributes:
        code: What builds it of a spec, ``"package.module:attribute"``, called with
            ``(student, image_shape, optics)``.
        reads: The keys of the spec that it depends on, beside those of the student.
        design: Name of these optics in the table of fabrication errors, which says what a chip
            of them has for errors to act on; None: no chip can be simulated.
        ideal_kernels: Whether its kernels are ideal ones, which a metasurface can be made of.
        several_branches: Whether it takes a student with several branches.
        drawn_kernels: Whether its kernels are drawn at random before training, which is what the
            estimate of a design takes them to be, and train.
        estimator: Name of the estimator in the task's ``estimates`` that serves optics without
            drawn kernels, in place of the spec's ``estimate.kernels``; empty: there is none.
        coherent: Whether its images are no convolution of the scene.
        optical: Whether light computes its kernels, so that there is a chip to lay out and capture.
        own_size: Whether their kernels are as large as they are, whatever ``kernel_size`` says.
        tells: What says in sentences how these optics were read, called as ``code`` is; empty:
            there is nothing to say.
    """

    code: str
    reads: tuple[str, ...] = ()
    design: str | None = None
    ideal_kernels: bool = False
    several_branches: bool = False
    drawn_kernels: bool = True
    estimator: str = ""
    coherent: bool = False
    optical: bool = True
    own_size: bool = False
    tells: str = ""


DIGITAL = "none"  # what student.optics names where electronics compute the kernels

FRONTENDS: Mapping[str, BuiltInFrontend] = MappingProxyType(
    {
        "ideal": BuiltInFrontend(
            "hybridonn.networks.frontends.ideal_convolution:build_ideal",
            design="kernels",
            ideal_kernels=True,
            several_branches=True,
        ),
        "four_f": BuiltInFrontend(
            "hybridonn.networks.frontends.four_f:build_four_f",
            reads=("optics.four_f", "optics.wavelengths_nm"),
            design="four_f",
            coherent=True,
        ),
        "lens": BuiltInFrontend(
            "hybridonn.networks.frontends.lens:build_lens",
            several_branches=True,
            drawn_kernels=False,
            estimator="lens",
        ),
        DIGITAL: BuiltInFrontend(
            "hybridonn.networks.frontends.digital_layer:build_digital_layer",
            several_branches=True,
            optical=False,
        ),
        "measured": BuiltInFrontend(
            "hybridonn.networks.frontends.measured_optics:build_measured",
            reads=("optics.measured",),
            own_size=True,
            tells="hybridonn.networks.frontends.measured_optics:tell_measured",
            design="kernels",
            several_branches=True,
            drawn_kernels=False,
        ),
    }
)
# Those that optics.frontend can name.
OPTICS: Mapping[str, BuiltInFrontend] = MappingProxyType(
    {name: frontend for name, frontend in FRONTENDS.items() if frontend.optical}
)
# The form that `hybridonn.core.tables.resolve` takes.
FRONTEND_CODE: Mapping[str, str] = MappingProxyType(
    {name: frontend.code for name, frontend in FRONTENDS.items()}
)


def name_frontend(student_optics: str, frontend: str) -> str:
    """Name of a student's frontend in the table.

    Args:
        student_optics: The key student.optics of the spec.
        frontend: The key optics.frontend.
    """
    return DIGITAL if student_optics == DIGITAL else frontend
