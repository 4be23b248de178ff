"""A fresh simulated chip in place of ideal optics, for one step of a training.

Robust design trains against the distribution of fabrication errors: each step sees the optics
as the stated process might make them, and its gradient goes on to the ideal kernels.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from hybridonn.core.errors import OpticsError
from hybridonn.core.random import seed_of
from hybridonn.networks.frontends.frontend import split_signs
from hybridonn.networks.frontends.ideal_convolution import IdealConvolution
from hybridonn.optics.fabrication.chip_errors import ChipErrors
from hybridonn.optics.fabrication.kernel_errors import ChipPsfs, fabricate
from hybridonn.optics.layout.sites import Layout


def draw_chip(errors: ChipErrors, seed: int, step: int) -> ChipErrors:
    """The chip of one step, by these two numbers alone; a spec can hardly name its seed.

    Args:
        errors: The process; its own seed does not matter.
        seed: Seed of the training.
        step: Step of the training, counted from its start.
    """
    return errors.with_seed(seed_of("drawn chip", seed, step))


@contextmanager
def behind_chip(network: nn.Module, errors: ChipErrors, layout: Layout) -> Iterator[None]:
    """Within this context a hybrid network takes its pictures with a chip made of its optics.

    Training and inference mode make no difference. The chip's kernels are parameters of their
    own meanwhile, so that tangent kernels are those of the network behind the chip; what a
    backward pass inside the context leaves there as gradient is passed on to the ideal
    kernels when the context ends.

    The camera's noise is left out.

    Args:
        network: With an ideal convolution as frontend; afterwards it is as designed again.
        errors: Fabrication errors of the chip.
        layout: Where the sub-optics of the kernels lie.

    Raises:
        OpticsError: Its optics are not one layer of ideal kernels, or the layout is of another
            number of kernels.
    """
    frontend = getattr(network, "frontend", None)
    if not isinstance(frontend, IdealConvolution):
        raise OpticsError(
            f"the optics are a {type(frontend).__name__}; a chip is drawn for one layer of ideal "
            "kernels, an IdealConvolution"
        )
    ideal = frontend.convolution
    made = make_kernels(ideal.weight, errors, layout)
    frontend.convolution = convolve_with(made, ideal.stride[0], ideal.weight.requires_grad)
    try:
        yield
        gradient = frontend.convolution.weight.grad
        if gradient is not None:
            made.backward(gradient)
    finally:
        frontend.convolution = ideal


def make_kernels(kernels: Tensor, errors: ChipErrors, layout: Layout) -> Tensor:
    """Signed kernels as a chip realises them, differentiable in those that were wanted.

    Args:
        kernels: (K, C, k, k), signed.
        errors: Fabrication errors of the chip.
        layout: Where their sub-optics lie.

    Returns:
        (K, C, k', k') with k' >= k: a margin holds the light that has moved outwards.
    """
    positive, negative = fabricate(design_of(kernels, layout), errors).psfs.unbind(1)
    return (positive - negative).flip(-1, -2)


def design_of(kernels: Tensor, layout: Layout) -> ChipPsfs:
    """The point spread functions of signed kernels, (K, C, k, k), without gains.

    ``torch`` correlates: a point spread function is its kernel turned by 180 degrees.
    """
    psfs = torch.stack(split_signs(kernels), 1).flip(-1, -2)
    return ChipPsfs(psfs, psfs.new_ones(psfs.shape[:3]), layout)


def convolve_with(kernels: Tensor, stride: int, trained: bool) -> nn.Conv2d:
    """A convolution with copies of these kernels, (K, C, k, k) with k odd, as its weights."""
    count, colours, size, _ = kernels.shape
    # On no device: the random weights that a layer begins with are not needed.
    layer = nn.Conv2d(colours, count, size, stride, padding=size // 2, bias=False, device="meta")
    weight = kernels.detach().contiguous(memory_format=torch.channels_last)
    layer.weight = nn.Parameter(weight, requires_grad=trained)
    return layer
