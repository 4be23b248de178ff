"""Pooling and dense layers: one answer an image."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from hybridonn import spec
from hybridonn.core.errors import SpecError
from hybridonn.networks.backends.backend import Backend, Shape
from hybridonn.networks.backends.layers import Normalisation, rectify
from hybridonn.tangent.infinite import AdaptiveAveragePool, Dense, Flatten, Layer, Relu


class DenseBackend(Backend, nn.Sequential):
    """Offset, ReLU, pooling, then dense layers.

    A purely linear network cannot reach the numbers of the paper (a linear
    classifier ends near 92 % on MNIST), so an electronic nonlinearity follows
    the subtraction.
    """

    def __init__(
        self,
        kernels: int,
        pooled_size: int,
        hidden: Sequence[int],
        classes: int,
        pooling: Literal["average", "max"] = "average",
        *,
        normalisation: Normalisation = "none",
        two_sided: bool = False,
        dropout: float = 0.0,
    ) -> None:
        pool = nn.AdaptiveMaxPool2d if pooling == "max" else nn.AdaptiveAvgPool2d
        layers = [*rectify(kernels, normalisation, two_sided), pool(pooled_size), nn.Flatten()]
        widths = [kernels * (1 + two_sided) * pooled_size**2, *hidden]
        for before, after in pairwise(widths):
            layers += [*_drop(dropout), nn.Linear(before, after)]
            layers += [nn.BatchNorm1d(after)] if normalisation == "batch" else []
            layers += [nn.ReLU()]
        super().__init__(*layers, *_drop(dropout), nn.Linear(widths[-1], classes))

    @classmethod
    def build(
        cls, student: spec.Student, branch_shapes: tuple[Shape, ...], output_shape: Shape
    ) -> DenseBackend:
        """The dense layers of a spec."""
        return cls(
            student.kernels,
            student.pooled_size,
            student.hidden,
            output_shape[0],
            student.pooling,
            normalisation=student.normalisation,
            two_sided=student.rectification == "two_sided",
            dropout=student.dropout,
        )

    @classmethod
    def check(cls, student: spec.Student, image_shape: tuple[int, int, int]) -> None:
        """Refuse a pooled size that is larger than the feature maps.

        Raises:
            SpecError: It is.
        """
        rows, columns = (-(-side // student.stride) for side in image_shape[1:])
        if student.pooled_size > min(rows, columns):
            raise SpecError(
                f"student.pooled_size is {student.pooled_size}, but the feature maps are "
                f"{rows} x {columns}; allowed is 1 to {min(rows, columns)}"
            )

    @classmethod
    def wide_layers(cls, student: spec.Student) -> tuple[Layer, ...]:
        """Pooling, then dense layers with ReLUs between them; biases, which start at 0, are out."""
        hidden = (Dense(), Relu()) * len(student.hidden)
        return (Relu(), AdaptiveAveragePool(student.pooled_size), Flatten(), *hidden, Dense())

    def forward(self, branches: tuple[Tensor]) -> Tensor:
        """Classify: one branch, (B, K, H', W'), to logits (B, classes)."""
        (features,) = branches
        return nn.Sequential.forward(self, features)


def _drop(share: float) -> list[nn.Module]:
    return [nn.Dropout(share)] if share else []
