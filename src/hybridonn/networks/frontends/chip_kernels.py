"""The chip of ideal kernels: all of them on one sensor, as a fab would make them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from hybridonn.core.random import seed_of
from hybridonn.networks.frontends.frontend import split_signs
from hybridonn.optics.fabrication.chip_errors import ChipErrors, apply_laws
from hybridonn.optics.fabrication.kernel_errors import ChipPsfs, assemble
from hybridonn.optics.layout.sites import Layout


def fabricate_kernels(
    branches: Sequence[tuple[Tensor, int]], errors: ChipErrors, layout: Layout
) -> ChipPsfs:
    """Make one chip of the kernels of all branches, differentiable in the kernels.

    A kernel has the errors of kernels on its own weights; then it lies on the sensor, its weights
    a binning apart, where shift, blur, brightness and cross-talk act in pixels of the sensor.

    Args:
        branches: The signed kernels of each branch, (K_b, C, k_b, k_b), with its binning.
        errors: Fabrication errors of the chip, none of pillars.
        layout: Where the sub-optics of all kernels lie, in the order of the branches.

    Returns:
        The chip: point spread functions in pixels of the scene, gains of one.
    """
    made = [
        spread(apply_laws("kernels", turn_kernels(kernels), _own(errors, index), layout), binning)
        for index, (kernels, binning) in enumerate(branches)
    ]
    side = max(psfs.shape[-1] for psfs in made)
    psfs = torch.cat([frame(psfs, side) for psfs in made])
    return assemble(ChipPsfs(psfs, psfs.new_ones(psfs.shape[:3]), layout), errors)


def turn_kernels(kernels: Tensor) -> Tensor:
    """The point spread functions of signed kernels: (K, C, k, k) to (K, 2, C, k, k).

    ``torch`` correlates: a point spread function is its kernel turned by 180 degrees.
    """
    return torch.stack(split_signs(kernels), 1).flip(-1, -2)


def spread(kernels: Tensor, binning: int) -> Tensor:
    """Put the weights of kernels so many pixels apart, darkness between them.

    Args:
        kernels: (..., k, k).
        binning: Pixels from one weight to the next.

    Returns:
        (..., n, n), n = (k - 1) binning + 1.
    """
    if binning == 1:
        return kernels
    side = (kernels.shape[-1] - 1) * binning + 1
    apart = kernels.new_zeros(*kernels.shape[:-2], side, side)
    apart[..., ::binning, ::binning] = kernels
    return apart


def frame(kernels: Tensor, side: int) -> Tensor:
    """Kernels (..., k, k) in the middle of zeros, (..., side, side)."""
    return F.pad(kernels, 4 * [(side - kernels.shape[-1]) // 2])


def _own(errors: ChipErrors, branch: int) -> ChipErrors:
    """The errors of a branch's kernels: the draws of the first would come again in the others."""
    return errors if branch == 0 else errors.with_seed(seed_of("branch", errors.seed, branch))
