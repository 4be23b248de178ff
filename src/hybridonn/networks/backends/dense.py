"""Pooling and dense layers: one answer an image."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from hybridonn.networks.backends.layers import Normalisation, rectify


class DenseBackend(nn.Sequential):
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

    def forward(self, branches: tuple[Tensor]) -> Tensor:
        """Classify: one branch, (B, K, H', W'), to logits (B, classes)."""
        (features,) = branches
        return super().forward(features)


def _drop(share: float) -> list[nn.Module]:
    return [nn.Dropout(share)] if share else []
