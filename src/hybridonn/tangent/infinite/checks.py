"""Refuse images and networks that have no kernel, and say what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from hybridonn.tangent.errors import TangentError
from hybridonn.tangent.infinite.geometry import Shape, shapes_of
from hybridonn.tangent.infinite.layers import Convolution, Dense, Layer, Residual

Kernel = Literal["ntk", "nngp"]


def check_images(images: Tensor, name: str) -> None:
    """Images must be (N, C, H, W), not empty, floating point and finite.

    Raises:
        TangentError: they are not; the message names the value.
    """
    if not images.is_floating_point():
        raise TangentError(
            f"{name} holds {images.dtype}; the kernel needs floating point numbers: "
            f"pass {name}.float() / 255"
        )
    if images.ndim != 4 or 0 in images.shape:
        raise TangentError(
            f"{name} has the shape {tuple(images.shape)}; it must be (N, C, H, W), none of them 0"
        )
    finite = images.isfinite().flatten(1).all(1)
    if not bool(finite.all()):
        where = int((~finite).nonzero()[0])
        raise TangentError(
            f"{name}: image {where} holds NaN or infinity; repair it or leave it out"
        )


def check_pair(first: Tensor, second: Tensor) -> None:
    """Two sets of images must have one shape, type and device.

    Raises:
        TangentError: they differ.
    """
    for name, one, two in (
        ("shape", tuple(first.shape[1:]), tuple(second.shape[1:])),
        ("dtype", first.dtype, second.dtype),
        ("device", first.device, second.device),
    ):
        if one != two:
            raise TangentError(f"x1 has the {name} {one} and x2 {two}; both must be the same")


def check_network(layers: Sequence[Layer], image: Shape, kernel: str) -> None:
    """The network must end in one position, and an NTK needs something trained.

    Raises:
        TangentError: it does not, or ``kernel`` is not known.
    """
    if kernel not in ("ntk", "nngp"):
        raise TangentError(f'kernel is "{kernel}"; allowed are "ntk" and "nngp"')
    last = shapes_of(layers, image)[-1]
    if last.positions != 1:
        raise TangentError(
            f"the network ends with {last.height} x {last.width} positions; "
            "a kernel of images needs one: add Flatten() and Dense()"
        )
    if kernel == "ntk" and not any_trained(layers):
        raise TangentError(
            "no layer is trained, so the NTK is 0; "
            'set trained=True on the head, or ask for kernel="nngp"'
        )


def any_trained(layers: Sequence[Layer]) -> bool:
    """Whether any layer has trained weights."""
    for layer in layers:
        if isinstance(layer, Convolution | Dense) and layer.trained:
            return True
        if isinstance(layer, Residual) and any_trained((*layer.branch, *layer.shortcut)):
            return True
    return False


def pairs_within(memory_gb: float, values: int, dtype: torch.dtype, kernel: str) -> int:
    """How many image pairs fit into the working memory.

    Raises:
        TangentError: not even one does.
    """
    bytes_each = values * dtype.itemsize * (2 if kernel == "ntk" else 1)
    count = int(memory_gb * 1e9 / bytes_each)
    if count < 1:
        raise TangentError(
            f"memory_gb is {memory_gb:g}, but one pair of images needs {bytes_each / 1e9:.3g} GB; "
            "give more memory, or use a smaller image or smaller pooling windows"
        )
    return count
