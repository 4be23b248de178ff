"""The infinitely wide network that belongs to a design."""

from __future__ import annotations

from typing import Literal

from hybridonn import spec
from hybridonn.core.errors import SpecError
from hybridonn.networks.backends.build import find_built_in
from hybridonn.networks.backends.table import BACKENDS
from hybridonn.tangent.infinite import (
    AdaptiveAveragePool,
    Convolution,
    Dense,
    Flatten,
    Layer,
    Relu,
)


def architecture_of(
    student: spec.Student,
    *,
    kernels_trained: bool = True,
    max_pooling: Literal["refuse", "average"] = "refuse",
) -> tuple[Layer, ...]:
    """The student of a spec with infinitely many kernels and hidden units.

    Same-size convolution, then what the backend says of itself by ``Backend.wide_layers``:
    ReLU, pooling to ``pooled_size`` and dense layers with ReLUs between them, of the backend
    ``dense``. The number of kernels and the widths of the hidden layers have no meaning at
    infinite width; the depth, the kernel size and the pooling remain. Biases, which start
    at 0, are left out.

    Args:
        student: What the spec says of it.
        kernels_trained: False: the optical kernels stay random.
        max_pooling: A maximum has no analytic kernel; "average" puts the mean over
            the same windows in its place (say so beside the number), "refuse" raises.

    Raises:
        SpecError: The student pools by maximum and ``max_pooling`` is "refuse", or the wide
            network of its backend is not known.
    """
    if student.pooling == "max" and max_pooling == "refuse":
        raise SpecError(
            'student.pooling is "max", which has no analytic infinite-width kernel; '
            'set pooling: average, or allow the average in its place (max_pooling="average")'
        )
    built_in = student.backend in BACKENDS
    behind = find_built_in(student.backend).wide_layers(student) if built_in else None
    if behind is None:
        raise SpecError(
            f"student.backend is {student.backend!r}, whose infinitely wide network is not known, "
            "so there is no estimate of it; train the design instead"
        )
    padding = student.kernel_size // 2
    optics = Convolution(
        student.kernel_size, student.stride, padding=padding, trained=kernels_trained
    )
    return (optics, *behind)


def infinite_random_kernels(kernel_size: int, pooled_size: int | None = None) -> tuple[Layer, ...]:
    """Infinitely many fixed random kernels, ReLU, pooling or none, one trained dense head.

    Its NTK is the NNGP kernel of the random features: the "infinite" column of the
    random-kernel table (Xiang et al. 2025, table 5).

    Args:
        kernel_size: Side of a kernel, odd.
        pooled_size: Side of the pooled map; None: no pooling.
    """
    pool = () if pooled_size is None else (AdaptiveAveragePool(pooled_size),)
    convolution = Convolution(kernel_size, padding=kernel_size // 2, trained=False)
    return (convolution, Relu(), *pool, Flatten(), Dense())
