"""What the point spread functions of signed kernels should be.

Light is not negative, so a kernel is the difference of two parts, each of its own sub-optic.
Both parts of a kernel's colour are divided by the larger of their two maxima, as Xiang et al.
do in their published notebook; what they were divided by is given back in the
electronics.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from hybridonn.errors import OpticsError
from hybridonn.optics.metasurface import turn


@dataclass(frozen=True)
class Targets:
    """Wanted point spread functions.

    Attributes:
        parts: Positive and negative part in the upright picture, (K, 2, C, k, k), from 0 to 1:
            the kernel turned by 180 degrees.
        scale: What they are multiplied by to give the kernels, (K, C); 0 where a
            kernel's colour is zero.
    """

    parts: Tensor
    scale: Tensor

    def take(self, kernels: slice) -> Targets:
        """The targets of some of the kernels."""
        return Targets(self.parts[kernels], self.scale[kernels])


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
            "there is no picture that they could take: train longer, or ask for fewer kernels "
            "(student.kernels)"
        )
    parts = turn(torch.stack([F.relu(kernels), F.relu(-kernels)], 1))
    scale = parts.amax((1, 3, 4))
    safe = torch.where(scale > 0, scale, 1)
    return Targets(parts / safe[:, None, :, None, None], scale)


def restore_gains(psfs: Tensor, targets: Targets) -> Tensor:
    """The best gain for each kernel and colour: least squares of the signed kernel.

    Args:
        psfs: Central block, (K, 2, C, k, k).
        targets: Of the same kernels.

    Returns:
        (K, C): ``gain (psf+ - psf-)`` is nearest to the kernel. Never negative.
    """
    wanted, got = (parts[:, 0] - parts[:, 1] for parts in (targets.parts, psfs))
    power = got.square().sum((-1, -2))
    gain = (wanted * got).sum((-1, -2)) / torch.where(power > 0, power, 1)
    return gain.clamp_min(0) * targets.scale


def kernel_errors(psfs: Tensor, targets: Targets) -> Tensor:
    """Relative error of each kernel and colour after the gain is restored, (K, C).

    ``||gain (psf+ - psf-) - kernel|| / ||kernel||``, Euclidean norms over the pixels;
    nan where the kernel's colour is zero.
    """
    gain = restore_gains(psfs, targets)[..., None, None]
    wanted = (targets.parts[:, 0] - targets.parts[:, 1]) * targets.scale[..., None, None]
    missed = gain * (psfs[:, 0] - psfs[:, 1]) - wanted
    norms = wanted.square().sum((-1, -2)).sqrt()
    return missed.square().sum((-1, -2)).sqrt() / torch.where(norms > 0, norms, torch.nan)


def whole_kernel_errors(psfs: Tensor, targets: Targets) -> Tensor:
    """Relative error of each kernel, all its colours together, (K,)."""
    wanted = (targets.parts[:, 0] - targets.parts[:, 1]) * targets.scale[..., None, None]
    power = wanted.square().sum((-1, -2))
    missed = kernel_errors(psfs, targets).nan_to_num(0).square() * power
    return (missed.sum(1) / power.sum(1)).sqrt()


def crop_centre(psfs: Tensor, size: int) -> Tensor:
    """The central ``size`` x ``size`` pixels of (..., P, P), P - size even."""
    margin = (psfs.shape[-1] - size) // 2
    return psfs[..., margin : margin + size, margin : margin + size]
