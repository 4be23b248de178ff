"""Builds the hybrid network that a spec describes."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

from hybridonn import spec
from hybridonn.core.errors import SpecError
from hybridonn.core.random import seeded
from hybridonn.core.tables import resolve
from hybridonn.networks.backends.build import build_backend, find_built_in
from hybridonn.networks.backends.table import BACKENDS
from hybridonn.networks.frontends.frontend import Frontend
from hybridonn.networks.frontends.table import FRONTEND_CODE, name_frontend
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.networks.network_size import refuse_large_weights
from hybridonn.tasks.table import TASKS
from hybridonn.tasks.task import make_task


def build_student(
    student: spec.Student,
    image_shape: tuple[int, int, int],
    classes: int,
    seed: int,
    optics: spec.Optics | None = None,
    task: str | None = None,
) -> HybridNetwork:
    """Build a student; the same seed gives the same weights.

    Args:
        student: What the spec says of it.
        image_shape: (C, H, W) of a scene.
        classes: Number of classes.
        seed: Seed of the weights.
        optics: What the spec says of the optics; None: ideal ones.
        task: The name of the task; None: the first of the table that the built-in backend
            serves.

    Returns:
        A network from (B, C, H, W) to what the task asks for, such as (B, classes).

    Raises:
        SpecError: The design does not fit the images, no machine holds its weights, or the
            user's own backend cannot be built or does not give what the task asks for.
        OpticsError: The optics cannot image the images.
    """
    check_fit(student, image_shape)
    outputs = shape_outputs(student, image_shape, classes, task)
    make_optics = partial(build_frontend, student, image_shape, optics)
    make = partial(_assemble, student, image_shape, outputs, optics)
    # The user's own code is run once only.
    heavy = make if student.backend in BACKENDS else make_optics
    cure = "lower student.kernels, pooled_size or hidden, or optics.four_f.mask_pixels"
    refuse_large_weights(heavy, "the student", cure)
    with seeded("student", seed):
        return make()


def build_frontend(
    student: spec.Student, image_shape: tuple[int, int, int], optics: spec.Optics | None = None
) -> Frontend:
    """The optics of a student; random kernels are fixed as they are drawn.

    Args:
        student: What the spec says of it.
        image_shape: (C, H, W) of a scene.
        optics: What the spec says of the optics; None: ideal ones.
    """
    name = name_frontend(student.optics, optics.frontend if optics else "ideal")
    build = resolve(FRONTEND_CODE, name)
    return build(student, image_shape, optics).requires_grad_(student.optics != "random")


def shape_branches(
    student: spec.Student, image_shape: tuple[int, int, int]
) -> tuple[tuple[int, int, int], ...]:
    """(K_b, H', W') of what each branch of the optics gives, from fine to coarse."""
    _, height, width = image_shape
    if not student.branches:
        rows, columns = (-(-side // student.stride) for side in (height, width))
        return ((student.kernels, rows, columns),)
    return tuple(
        (branch.kernels, height // branch.binning, width // branch.binning)
        for branch in student.branches
    )


def shape_outputs(
    student: spec.Student, image_shape: tuple[int, int, int], classes: int, task: str | None
) -> tuple[int, ...]:
    """What the task asks of an image.

    Raises:
        SpecError: No task is named, and the backend is the user's own.
    """
    if task is None and student.backend not in BACKENDS:
        raise SpecError(
            f"student.backend is {student.backend!r}, code of your own, which says of no task "
            "that it serves it; name the task"
        )
    served = (name for name, one in TASKS.items() if one.answers == student.answers)
    return make_task(task or next(served)).output_shape(classes, image_shape)


def _assemble(
    student: spec.Student,
    image_shape: tuple[int, int, int],
    outputs: tuple[int, ...],
    optics: spec.Optics | None,
) -> HybridNetwork:
    frontend = build_frontend(student, image_shape, optics)
    return HybridNetwork(
        frontend, build_backend(student, shape_branches(student, image_shape), outputs)
    )


def check_fit(student: spec.Student, image_shape: tuple[int, int, int]) -> None:
    """Refuse a design that does not fit the images.

    Raises:
        SpecError: The pooled size or a kernel is too large for them, or they cannot be
            divided into the pixels of a coarser sensor.
    """
    _, height, width = image_shape
    if student.branches:
        _check_binnings(student, height, width)
        for index, branch in enumerate(student.branches):
            sides = height // branch.binning, width // branch.binning
            _check_kernel(f"student.branches.{index}.kernel_size", branch.kernel_size, *sides)
    else:
        _check_kernel("student.kernel_size", student.kernel_size, height, width)
    if student.backend in BACKENDS:
        find_built_in(student.backend).check(student, image_shape)


def _check_kernel(key: str, size: int, height: int, width: int) -> None:
    most = 2 * min(height, width) - 1
    if size > most:
        raise SpecError(
            f"{key} is {size}, but the images are {height} x {width}; allowed is 1 to {most}"
        )


def _check_binnings(student: spec.Student, height: int, width: int) -> None:
    binnings = [branch.binning for branch in student.branches]
    for fine, coarse in pairwise(binnings):
        if coarse % fine or coarse == fine:
            raise SpecError(
                f"student.branches have binnings {', '.join(map(str, binnings))}; they go from "
                "fine to coarse, each a multiple of the one before, such as 1, 2, 4"
            )
    if height % binnings[-1] or width % binnings[-1]:
        raise SpecError(
            f"a branch of the student has binning {binnings[-1]}, which does not divide the "
            f"images of {height} x {width}; set data.size_pixels to a multiple of it"
        )
