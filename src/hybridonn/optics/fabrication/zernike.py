"""Aberrations of a lens as Zernike polynomials (Noll 1976, J. Opt. Soc. Am. 66, 207)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Noll's numbers: defocus, both astigmatisms, both comas, the primary spherical aberration.
NOLL = (4, 5, 6, 7, 8, 11)


def zernike(x: Tensor, y: Tensor) -> Tensor:
    """The polynomials of :data:`NOLL`, each of root mean square 1 over the unit disc.

    Noll 1976, table I, written in ``x = rho cos theta`` and ``y = rho sin theta``.

    Args:
        x: Places in radii of the pupil.
        y: Places of the same shape.

    Returns:
        (6, ...), in the order of :data:`NOLL`.
    """
    square = x.square() + y.square()
    root = {n: math.sqrt(n) for n in (3, 5, 6, 8)}
    return torch.stack(
        [
            root[3] * (2 * square - 1),
            root[6] * 2 * x * y,
            root[6] * (x.square() - y.square()),
            root[8] * (3 * square - 2) * y,
            root[8] * (3 * square - 2) * x,
            root[5] * (6 * square.square() - 6 * square + 1),
        ]
    )
