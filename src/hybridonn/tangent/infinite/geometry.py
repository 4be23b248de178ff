"""The shapes of the layers' maps, and the inputs that each output position depends on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hybridonn.tangent.errors import TangentError
from hybridonn.tangent.infinite.layers import (
    AdaptiveAveragePool,
    AveragePool,
    Convolution,
    Dense,
    Flatten,
    Layer,
    Pool,
    Relu,
    Residual,
    Weighted,
)


@dataclass(frozen=True)
class Shape:
    """Positions of a feature map; its channels are infinitely many.

    Attributes:
        height: Rows.
        width: Columns.
        flat: Whether the map is flattened to one position.
    """

    height: int
    width: int
    flat: bool = False

    @property
    def positions(self) -> int:
        """How many positions the map has."""
        return self.height * self.width


def shapes_of(layers: Sequence[Layer], first: Shape) -> tuple[Shape, ...]:
    """The shape before every layer, and behind the last one.

    Args:
        layers: the network.
        first: the shape of the images.

    Returns:
        The shapes, one more than there are layers.

    Raises:
        TangentError: a layer does not fit what comes before it.
    """
    shapes = [first]
    for number, layer in enumerate(layers, start=1):
        shapes.append(_shape_after(layer, shapes[-1], f"layer {number}, {layer}"))
    return tuple(shapes)


def _shape_after(layer: Layer, shape: Shape, where: str) -> Shape:
    """The shape behind one layer.

    Raises:
        TangentError: the layer does not fit the shape before it.
    """
    if isinstance(layer, Weighted):
        _check_variances(layer, where)
    match layer:
        case Relu():
            return shape
        case Flatten():
            return Shape(1, 1, flat=True)
        case Dense():
            if not shape.flat:
                raise TangentError(
                    f"{where}: the map before it has {shape.height} x {shape.width} positions; "
                    "put Flatten() before the first dense layer"
                )
            return shape
        case Residual():
            return _sum_shape(layer, shape, where)
        case _:
            return _window_shape(layer, shape, where)


def _check_variances(layer: Weighted, where: str) -> None:
    """Refuse variances that are not positive.

    Raises:
        TangentError: one of them is not.
    """
    if not layer.weight_variance > 0 or not layer.bias_variance >= 0:
        raise TangentError(
            f"{where}: weight_variance must be above 0 and bias_variance 0 or above; "
            "leave both out for 2 and 0"
        )


def _sum_shape(layer: Residual, shape: Shape, where: str) -> Shape:
    """The shape behind the sum of two paths.

    Raises:
        TangentError: the paths end in different shapes, or their covariances do not add.
    """
    branch = shapes_of(layer.branch, shape)[-1]
    shortcut = shapes_of(layer.shortcut, shape)[-1]
    if branch != shortcut:
        raise TangentError(
            f"{where}: the branch ends with {branch.height} x {branch.width} positions and the "
            f"shortcut with {shortcut.height} x {shortcut.width}; give both the same strides"
        )
    if not (_ends_in_weights(layer.branch) or _ends_in_weights(layer.shortcut)):
        raise TangentError(
            f"{where}: neither path has a convolution or a dense layer after its last ReLU, so "
            "their covariances do not add; end the branch with a convolution"
        )
    return branch


def _ends_in_weights(path: tuple[Layer, ...]) -> bool:
    """Whether a path has weights after its last ReLU."""
    for layer in reversed(path):
        if isinstance(layer, Weighted):
            return True
        if isinstance(layer, Relu):
            return False
        if isinstance(layer, Residual):
            return _ends_in_weights(layer.branch) and _ends_in_weights(layer.shortcut)
    return False


def _window_shape(layer: Convolution | Pool, shape: Shape, where: str) -> Shape:
    """The shape behind a layer with windows.

    Raises:
        TangentError: the map is flattened already.
    """
    if shape.flat:
        raise TangentError(f"{where}: it needs a map, but the map is already flattened; move it up")
    height = _window_count(layer, shape.height, where)
    return replace(shape, height=height, width=_window_count(layer, shape.width, where))


def _window_count(layer: Convolution | Pool, length: int, where: str) -> int:
    """How many windows a layer has along an axis.

    Raises:
        TangentError: there is none, or the layer's sizes are not allowed.
    """
    if isinstance(layer, AdaptiveAveragePool):
        count, reach = (layer.out if layer.out <= length else 0), length
    elif isinstance(layer, AveragePool):
        stride, reach = layer.size if layer.stride is None else layer.stride, length
        count = (length - layer.size) // stride + 1 if min(layer.size, stride) > 0 else 0
    else:
        if min(layer.kernel_size, layer.stride) < 1 or layer.padding < 0:
            raise TangentError(f"{where}: kernel_size and stride start at 1 and padding at 0")
        reach = length + 2 * layer.padding
        count = (reach - layer.kernel_size) // layer.stride + 1
    if count < 1:
        raise TangentError(
            f"{where}: it does not fit on {length} positions ({reach} with padding); "
            "make it smaller, or the image larger"
        )
    return count


def pool_windows(layer: Pool, length: int) -> tuple[Tensor, Tensor]:
    """Start and stop (exclusive) of each window along one axis, two (out,) int64 tensors.

    Adaptive windows are torch's: from floor(i L / out) to ceil((i + 1) L / out); they
    differ in size and overlap where out does not divide L.
    """
    if isinstance(layer, AdaptiveAveragePool):
        index = torch.arange(layer.out)
        start = index * length // layer.out
        return start, -((-(index + 1) * length) // layer.out)
    stride = layer.size if layer.stride is None else layer.stride
    start = torch.arange((length - layer.size) // stride + 1) * stride
    return start, start + layer.size
