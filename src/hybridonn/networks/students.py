"""Builds the hybrid network that a spec describes."""

from __future__ import annotations

from hybridonn import spec
from hybridonn.errors import SpecError
from hybridonn.networks.backends import DenseBackend
from hybridonn.networks.frontends import IdealConvolution
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.networks.seeding import seeded


def build_student(
    student: spec.Student, image_shape: tuple[int, int, int], classes: int, seed: int
) -> HybridNetwork:
    """Build a student; the same seed gives the same weights.

    Args:
        student: What the spec says of it.
        image_shape: (C, H, W) of a scene.
        classes: Number of classes.
        seed: Of the weights.

    Returns:
        A network from (B, C, H, W) to (B, classes).

    Raises:
        SpecError: The design does not fit the images.
    """
    channels = image_shape[0]
    check_fit(student, image_shape)
    with seeded("student", seed):
        frontend = IdealConvolution(student.kernels, student.kernel_size, channels, student.stride)
        backend = DenseBackend(
            student.kernels, student.pooled_size, student.hidden, classes, student.pooling
        )
    return HybridNetwork(frontend, backend)


def check_fit(student: spec.Student, image_shape: tuple[int, int, int]) -> None:
    """Refuse a design that does not fit the images.

    Raises:
        SpecError: The pooled size or the kernel is too large for them.
    """
    _, height, width = image_shape
    smaller = min(height, width)
    rows, columns = (-(-side // student.stride) for side in (height, width))
    if student.pooled_size > min(rows, columns):
        raise SpecError(
            f"student.pooled_size is {student.pooled_size}, but the feature maps are "
            f"{rows} x {columns}; allowed is 1 to {min(rows, columns)}"
        )
    if student.kernel_size > 2 * smaller - 1:
        raise SpecError(
            f"student.kernel_size is {student.kernel_size}, but the images are "
            f"{height} x {width}; allowed is 1 to {2 * smaller - 1}"
        )
