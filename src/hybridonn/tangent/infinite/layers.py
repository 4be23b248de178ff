"""Layers of an infinitely wide network, as frozen records.

Parametrisation (Jacot, Gabriel & Hongler 2018, arXiv 1806.07572): every weight is
drawn from N(0, 1) and multiplied by sqrt(weight_variance / fan_in), every bias by
sqrt(bias_variance). ``weight_variance`` is 2 by default, which keeps the variance of
the activations behind a ReLU (He et al. 2015, arXiv 1502.01852, eq. 10).

A layer that is not trained contributes no tangent term of its own: with fixed
convolutions and one trained dense layer the NTK is the NNGP kernel of the random
features (random kernels with a trained head).
"""

from __future__ import annotations

from dataclasses import dataclass

HE_VARIANCE = 2.0  # He et al. 2015, eq. 10


@dataclass(frozen=True)
class Convolution:
    """A convolution with square kernels and zero padding, the same on all four sides."""

    kernel_size: int
    stride: int = 1
    padding: int = 0
    trained: bool = True
    weight_variance: float = HE_VARIANCE
    bias_variance: float = 0.0


@dataclass(frozen=True)
class Relu:
    """Rectification, max(z, 0), of every activation."""


@dataclass(frozen=True)
class AveragePool:
    """Mean over square windows; windows that would cross the border are left out."""

    size: int
    stride: int | None = None  # None: the size


@dataclass(frozen=True)
class AdaptiveAveragePool:
    """Mean over out x out windows, cut as ``torch.nn.AdaptiveAvgPool2d`` cuts them."""

    out: int


@dataclass(frozen=True)
class Flatten:
    """All positions and channels side by side."""


@dataclass(frozen=True)
class Dense:
    """A fully connected layer; it comes after ``Flatten``."""

    trained: bool = True
    weight_variance: float = HE_VARIANCE
    bias_variance: float = 0.0


@dataclass(frozen=True)
class Residual:
    """The sum of two paths from the same input; an empty shortcut is the identity.

    The covariances add because the last weights of one path are independent of the
    other, so one of the two must have a convolution or a dense layer after its last ReLU.
    """

    branch: tuple[Layer, ...]
    shortcut: tuple[Layer, ...] = ()


Layer = Convolution | Relu | AveragePool | AdaptiveAveragePool | Flatten | Dense | Residual
Weighted = Convolution | Dense
Pool = AveragePool | AdaptiveAveragePool
