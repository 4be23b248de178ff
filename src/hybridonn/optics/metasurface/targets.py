"""What the point spread functions of signed kernels should be.

Light is not negative, so a kernel is the difference of two parts, each of its own sub-optic.
Both parts of a kernel's colour are divided by the larger of their two maxima, as Xiang et al.
do in their published notebook; what they were divided by is given back in the electronics.
The electronics have a gain for each part: a sub-optic sends the light that its block does not
take elsewhere, so two parts of one brightness but unequal light would scatter unequally,
and the subtraction would show it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from hybridonn.core.errors import OpticsError
from hybridonn.optics.metasurface.sub_optic import turn


@dataclass(frozen=True)
class Targets:
    """Wanted point spread functions.

    Attributes:
        parts: Positive and negative part in the upright image, (K, 2, C, k, k), from 0 to 1:
            the kernel turned by 180 degrees.
        scale: What they are multiplied by to give the kernels, (K, C); 0 where a
            kernel's colour is zero.
    """

    parts: Tensor
    scale: Tensor

    def take(self, kernels: slice) -> Targets:
        """The targets of some of the kernels."""
        return Targets(self.parts[kernels], self.scale[kernels])

    def kernels(self) -> Tensor:
        """The signed kernels, turned by 180 degrees as the parts are, (K, C, k, k)."""
        return (self.parts[:, 0] - self.parts[:, 1]) * self.scale[..., None, None]


def split_kernels(kernels: Tensor) -> Targets:
    """The targets of signed kernels, (K, C, k, k).

    Raises:
        OpticsError: A kernel is zero in all colours, or holds a number that is not finite.
    """
    if not torch.isfinite(kernels).all():
        raise OpticsError("a kernel holds a number that is not finite; train the student again")
    dark = (kernels == 0).flatten(1).all(1)
    if dark.any():
        which = ", ".join(str(int(index)) for index in dark.nonzero().flatten()[:5])
        raise OpticsError(
            f"{int(dark.sum())} of {len(kernels)} kernels are zero everywhere (kernel {which}); "
            "no sub-optic can represent them: train longer, or ask for fewer kernels",
            "kernels",
        )
    parts = turn(torch.stack([F.relu(kernels), F.relu(-kernels)], 1))
    scale = parts.amax((1, 3, 4))
    safe = torch.where(scale > 0, scale, 1)
    return Targets(parts / safe[:, None, :, None, None], scale)


def restore_gains(psfs: Tensor, targets: Targets) -> Tensor:
    """The best gains of both parts of each kernel and colour: least squares of the kernel.

    Args:
        psfs: Central block, (K, 2, C, k, k).
        targets: Targets of the same kernels.

    Returns:
        (K, 2, C): ``gain+ psf+ - gain- psf-`` is nearest to the kernel. Never negative.
    """
    gains = solve_gains(psfs.flatten(3), targets.kernels().flatten(2))
    return gains * (targets.scale > 0)[:, None]


def solve_gains(parts: Tensor, wanted: Tensor) -> Tensor:
    """Gains that are not negative and bring ``gain+ part+ - gain- part-`` nearest to a row.

    Of the two equations' solutions, the best: both gains free, or one of them zero.

    Args:
        parts: (K, 2, C, pixels).
        wanted: (K, C, pixels).

    Returns:
        (K, 2, C).
    """
    products = multiply(parts[:, 0], -parts[:, 1], wanted, (-1,))
    return solve_products(products).to(parts.dtype)


def multiply(plus: Tensor, minus: Tensor, wanted: Tensor, over: tuple[int, ...]) -> Tensor:
    """All products of both parts and of each with what is wanted, summed over dimensions.

    In double precision: where both parts are nearly alike, what tells them apart is a difference
    of these sums.

    Returns:
        (5, ...) float64: plus plus, plus minus, minus minus, plus wanted, minus wanted.
    """
    plus, minus, wanted = (part.double() for part in (plus, minus, wanted))
    pairs = ((plus, plus), (plus, minus), (minus, minus), (plus, wanted), (minus, wanted))
    return torch.stack([(x * y).sum(over) for x, y in pairs])


def solve_products(products: Tensor) -> Tensor:
    """The gains of :func:`solve_gains` from sums of :func:`multiply`: (5, K, C) to (K, 2, C)."""
    a, b, d, p, q = products
    det = a * d - b * b
    # Parts of one form are told apart by nothing: then one of them does.
    free = torch.stack([d * p - b * q, a * q - b * p], 1) / _nonzero(det)[:, None]
    dark = torch.zeros_like(p)
    first = torch.stack([(p / _nonzero(a)).clamp_min(0), dark], 1)
    second = torch.stack([dark, (q / _nonzero(d)).clamp_min(0)], 1)
    better = (p.clamp_min(0).square() / _nonzero(a)) >= (q.clamp_min(0).square() / _nonzero(d))
    one = torch.where(better[:, None], first, second)
    # The determinant loses as many digits as a d is larger than it: more than half are kept.
    least = math.sqrt(torch.finfo(products.dtype).eps) / 16
    allowed = (det > least * a * d) & (free >= 0).all(1)
    return torch.where(allowed[:, None], free, one)


def apply_gains(psfs: Tensor, gains: Tensor) -> Tensor:
    """The signed point spread functions, (K, 2, C, P, P) and (K, 2, C) to (K, C, P, P)."""
    lit = psfs * gains[..., None, None]
    return lit[:, 0] - lit[:, 1]


def kernel_errors(psfs: Tensor, targets: Targets, gains: Tensor | None = None) -> Tensor:
    """Relative error of each kernel and colour, (K, C).

    ``||gain+ psf+ - gain- psf- - kernel|| / ||kernel||``, Euclidean norms over the pixels;
    nan where the kernel's colour is zero.

    Args:
        psfs: Central block, (K, 2, C, k, k).
        targets: Targets of the same kernels.
        gains: (K, 2, C); None: those of :func:`restore_gains`.
    """
    gains = restore_gains(psfs, targets) if gains is None else gains
    wanted = targets.kernels()
    missed = apply_gains(psfs, gains) - wanted
    norms = wanted.square().sum((-1, -2)).sqrt()
    return missed.square().sum((-1, -2)).sqrt() / torch.where(norms > 0, norms, torch.nan)


def whole_kernel_errors(psfs: Tensor, targets: Targets, gains: Tensor | None = None) -> Tensor:
    """Relative error of each kernel, all its colours together, (K,)."""
    power = targets.kernels().square().sum((-1, -2))
    missed = kernel_errors(psfs, targets, gains).nan_to_num(0).square() * power
    return (missed.sum(1) / power.sum(1)).sqrt()


def _nonzero(value: Tensor) -> Tensor:
    return torch.where(value == 0, 1, value)


def crop_centre(psfs: Tensor, size: int) -> Tensor:
    """The central ``size`` x ``size`` pixels of (..., P, P), P - size even."""
    margin = (psfs.shape[-1] - size) // 2
    return psfs[..., margin : margin + size, margin : margin + size]
