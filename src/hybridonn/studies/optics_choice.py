"""Optics that a study puts in front of the same sensor, pooling and backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hybridonn.core.errors import SpecError
from hybridonn.networks.frontends.table import DIGITAL, FRONTENDS
from hybridonn.spec import Spec, validate
from hybridonn.studies.counts import split_list

LENS, DESIGNED, IDEAL = "lens", "designed", "ideal"
LABELS = {
    LENS: "plain lens",
    DESIGNED: "designed optics",
    IDEAL: "ideal kernels",
    DIGITAL: "all digital",
}


def parse_optics(text: str, known: Sequence[str] = tuple(LABELS)) -> tuple[str, ...]:
    """Optics separated by commas, each once.

    Args:
        text: What the option was given.
        known: What it takes.

    Raises:
        SpecError: One is unknown, named twice, or empty.
    """
    allowed = f"any of {', '.join(known)}, with commas"
    names = split_list("--optics", text, allowed)
    for name in names:
        if name not in known:
            raise SpecError(f"--optics {text}: {name!r} is not known; allowed is {allowed}")
    return tuple(names)


def state_all(spec: Spec, method: str) -> Spec:
    """The spec that all choices are made of: without chip, with the metasurface to be designed.

    Args:
        spec: What the user states.
        method: By which method all students are trained.

    Raises:
        SpecError: Training goes on behind simulated chips, or a value contradicts the rest.
    """
    if spec.distillation.robust:
        raise SpecError(
            "distillation.robust is true, which trains behind simulated chips, but a lens has "
            "none; set distillation.robust to false to compare optics"
        )
    bare = spec.for_method(method).model_copy(update={"fabrication": None, "compensation": None})
    if FRONTENDS[spec.frontend].ideal_kernels:
        bare = bare.with_metasurface()
    return _check(bare, "without chip")


def state_optics(spec: Spec, choice: str, channels: int) -> Spec:
    """The spec of one choice.

    Args:
        spec: From :func:`state_all`.
        choice: One of :data:`LABELS`.
        channels: Channels of the images, which are the kernels of a lens.

    Raises:
        SpecError: The choice does not exist for the spec.
    """
    if choice == DESIGNED:
        frontend = FRONTENDS[spec.frontend]
        if not frontend.optical or spec.frontend == LENS:
            key, cure = (
                ("optics.frontend", "ideal") if frontend.optical else ("student.optics", "trained")
            )
            raise SpecError(
                f"--optics designed: {key} is {spec.frontend}, of which there is nothing to "
                f"design; set {key} to {cure}, or leave designed out"
            )
        return spec  # a metasurface of ideal kernels; 4f and measured optics as they are
    kernels = spec.student.optics if FRONTENDS[spec.frontend].optical else "trained"
    student: dict[str, Any] = {"optics": DIGITAL if choice == DIGITAL else kernels}
    optics: dict[str, Any] = {
        "frontend": IDEAL if choice == DIGITAL else choice,
        "metasurface": None,
        "measured": None,
        "strategy": "kernels-first",
    }
    if choice == LENS:
        branches = tuple(
            branch.model_copy(update={"kernels": channels}) for branch in spec.student.branches
        )
        student |= {"kernels": channels * max(1, len(branches)), "branches": branches}
    changes = {
        "optics": spec.optics.model_copy(update=optics),
        "student": spec.student.model_copy(update=student),
    }
    return _check(spec.model_copy(update=changes), f"behind the optics {choice}")


def _check(spec: Spec, how: str) -> Spec:
    return validate(spec.model_dump(), f"{spec.name} {how}")
