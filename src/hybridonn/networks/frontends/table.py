"""The optical frontends that a spec can name."""

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
        ideal_kernels: Whether its kernels are ideal ones, which a metasurface or a simulated chip
            can be made of.
        several_branches: Whether it takes a student with several branches.
    """

    code: str
    reads: tuple[str, ...] = ()
    ideal_kernels: bool = False
    several_branches: bool = False


FRONTENDS: Mapping[str, BuiltInFrontend] = MappingProxyType(
    {
        "ideal": BuiltInFrontend(
            "hybridonn.networks.frontends.ideal_convolution:build_ideal",
            ideal_kernels=True,
            several_branches=True,
        ),
        "four_f": BuiltInFrontend(
            "hybridonn.networks.frontends.four_f:build_four_f",
            reads=("optics.four_f", "optics.wavelengths_nm"),
        ),
    }
)
# The form that `hybridonn.core.tables.resolve` takes.
FRONTEND_CODE: Mapping[str, str] = MappingProxyType(
    {name: frontend.code for name, frontend in FRONTENDS.items()}
)
