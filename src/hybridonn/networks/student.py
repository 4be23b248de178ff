"""Builds the hybrid network that a spec describes."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

from torch import nn

from hybridonn import spec
from hybridonn.core.errors import SpecError
from hybridonn.core.random import seeded
from hybridonn.networks.backends.coarse_fine import CoarseFineBackend
from hybridonn.networks.backends.dense import DenseBackend
from hybridonn.networks.backends.pyramid import PyramidBackend
from hybridonn.networks.backends.upsampling import UpsamplingBackend
from hybridonn.networks.frontends.four_f import FourFFrontend
from hybridonn.networks.frontends.frontend import Frontend
from hybridonn.networks.frontends.ideal_convolution import IdealConvolution
from hybridonn.networks.frontends.parallel import ParallelFrontend
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.networks.network_size import refuse_large_weights
from hybridonn.optics.waves.four_f import FourFSystem


def build_student(
    student: spec.Student,
    image_shape: tuple[int, int, int],
    classes: int,
    seed: int,
    optics: spec.Optics | None = None,
) -> HybridNetwork:
    """Build a student; the same seed gives the same weights.

    Args:
        student: What the spec says of it.
        image_shape: (C, H, W) of a scene.
        classes: Number of classes.
        seed: Of the weights.
        optics: What the spec says of the optics; None: ideal ones.

    Returns:
        A network from (B, C, H, W) to (B, classes), or (B, classes, H, W) where its
        backend answers pixel by pixel.

    Raises:
        SpecError: The design does not fit the images, or no machine holds its weights.
        OpticsError: The optics cannot image them.
    """
    check_fit(student, image_shape)
    cure = "lower student.kernels, pooled_size or hidden, or optics.four_f.mask_pixels"
    make = partial(_assemble, student, image_shape, classes, optics)
    refuse_large_weights(make, "the student", cure)
    with seeded("student", seed):
        return make()


def _assemble(
    student: spec.Student,
    image_shape: tuple[int, int, int],
    classes: int,
    optics: spec.Optics | None,
) -> HybridNetwork:
    if optics is not None and optics.frontend == "four_f":
        frontend = build_four_f(student, image_shape, optics)
    else:
        frontend = build_frontend(student, image_shape[0])
    return HybridNetwork(frontend, build_backend(student, classes))


def build_frontend(student: spec.Student, wavelengths: int) -> Frontend:
    """The ideal optics of a student; random kernels are fixed as they are drawn."""
    if student.branches:
        branches = [
            IdealConvolution(branch.kernels, branch.kernel_size, wavelengths)
            for branch in student.branches
        ]
        frontend = ParallelFrontend(branches, [branch.binning for branch in student.branches])
    else:
        frontend = IdealConvolution(
            student.kernels, student.kernel_size, wavelengths, student.stride
        )
    return frontend.requires_grad_(student.optics == "trained")


def build_four_f(
    student: spec.Student, image_shape: tuple[int, int, int], optics: spec.Optics
) -> Frontend:
    """A coherent 4f system as the optics of a student.

    Raises:
        SpecError: The student has several branches.
    """
    if student.branches:
        raise SpecError(
            f"optics.frontend is four_f, but the student has {len(student.branches)} branches; "
            "a 4f system takes a student without branches"
        )
    settings = optics.four_f
    system = FourFSystem(
        wavelengths_m=optics.wavelengths_m(image_shape[0]),
        focal_length_m=settings.focal_length_mm * 1e-3,
        mask_pixels=settings.mask_pixels,
        mask_pitch_m=settings.mask_pitch_um * 1e-6,
        scene_pitch_m=settings.scene_pixel_um * 1e-6,
    )
    frontend = FourFFrontend(
        student.kernels, student.kernel_size, system, image_shape[1:], student.stride, settings.mask
    )
    return frontend.requires_grad_(student.optics == "trained")


def build_backend(student: spec.Student, classes: int) -> nn.Module:
    """The electronics of a student."""
    kind, two_sided = student.normalisation, student.rectification == "two_sided"
    if student.backend == "dense":
        return DenseBackend(
            student.kernels,
            student.pooled_size,
            student.hidden,
            classes,
            student.pooling,
            normalisation=kind,
            two_sided=two_sided,
            dropout=student.dropout,
        )
    if student.backend == "upsampling":
        return UpsamplingBackend(student.kernels, student.stride, classes, kind, two_sided)
    kernels = [branch.kernels for branch in student.branches]
    binnings = [branch.binning for branch in student.branches]
    decoder = PyramidBackend if student.backend == "pyramid" else CoarseFineBackend
    return decoder(kernels, binnings, student.hidden, classes, kind, two_sided)


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
        return
    _check_kernel("student.kernel_size", student.kernel_size, height, width)
    rows, columns = (-(-side // student.stride) for side in (height, width))
    if student.backend == "dense" and student.pooled_size > min(rows, columns):
        raise SpecError(
            f"student.pooled_size is {student.pooled_size}, but the feature maps are "
            f"{rows} x {columns}; allowed is 1 to {min(rows, columns)}"
        )
    if student.backend == "upsampling" and (height % student.stride or width % student.stride):
        raise SpecError(
            f"student.stride is {student.stride}, which does not divide the images of "
            f"{height} x {width}; set data.size_pixels to a multiple of it"
        )


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
