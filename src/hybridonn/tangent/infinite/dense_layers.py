"""Kernels carried through dense layers and ReLUs, which act on them entry by entry."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from hybridonn.tangent.infinite.geometry import Shape
from hybridonn.tangent.infinite.layers import Layer
from hybridonn.tangent.infinite.propagate import Kernels, between, deviations_of, prepare

ENTRIES = 2**20  # entries of the kernel that go through the layers at once


def through_dense_layers(
    layers: Sequence[Layer],
    covariance: Tensor,
    tangent: Tensor | None,
    variances: tuple[Tensor, Tensor],
    *,
    nngp: bool = False,
) -> Tensor:
    """The kernel behind dense layers and ReLUs of infinite width.

    Args:
        layers: dense layers and ReLUs that follow ``Flatten``.
        covariance: NNGP kernel behind ``Flatten``, (N, M); overwritten by the result.
        tangent: NTK behind ``Flatten``, (N, M); None: nothing before it is trained.
        variances: covariance of each row's image with itself, (N,), and of each column's, (M,).
        nngp: return the NNGP kernel in place of the NTK.

    Returns:
        The kernel (N, M), in the memory of ``covariance``.
    """
    like = {"device": covariance.device, "dtype": covariance.dtype}
    network = prepare(layers, Shape(1, 1, flat=True), tangent=not nngp, **like)
    rows, columns = (deviations_of(network, one[None].clone()) for one in variances)
    step = max(1, ENTRIES // covariance.shape[1])
    for start in range(0, len(covariance), step):
        part = slice(start, start + step)
        entering = None if tangent is None else tangent[None, part].clone()
        upper = {name: deviation[:, part] for name, deviation in rows.items()}
        found = between(network, Kernels(covariance[None, part].clone(), entering), upper, columns)
        covariance[part] = found.wanted(tangent=not nngp)
    return covariance
