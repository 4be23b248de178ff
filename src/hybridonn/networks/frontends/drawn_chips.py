"""A fresh simulated chip in place of ideal optics, for one step of a training.

Robust design trains against the distribution of fabrication errors: each step sees the optics
as the stated process might make them, and its gradient goes on to the ideal kernels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from hybridonn.core.errors import OpticsError
from hybridonn.core.random import seed_of
from hybridonn.networks.frontends.chip_kernels import fabricate_kernels
from hybridonn.networks.frontends.convolution import BranchConvolution
from hybridonn.networks.frontends.four_f import FourFFrontend
from hybridonn.networks.frontends.ideal_convolution import IdealConvolution
from hybridonn.networks.frontends.parallel import ParallelFrontend
from hybridonn.networks.memory import lay_channels_last
from hybridonn.optics.fabrication.chip_errors import ChipErrors
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
    """Within this context a hybrid network takes its images with a chip made of its optics.

    Training and inference mode make no difference. The chip's kernels are parameters of their
    own meanwhile, so that tangent kernels are those of the network behind the chip; what a
    backward pass inside the context leaves there as gradient is passed on to the ideal
    kernels when the context ends.

    The camera's noise is left out.

    Args:
        network: With ideal kernels in one or several branches, or a 4f system, as frontend;
            afterwards it is as designed again. The masks of a 4f system keep their own gradient.
        errors: Fabrication errors of the chip.
        layout: Where the sub-optics of the kernels lie.

    Raises:
        OpticsError: Its optics are not ideal kernels, or the layout is of another number of
            kernels.
    """
    frontend = getattr(network, "frontend", None)
    if isinstance(frontend, FourFFrontend):
        with frontend.behind(errors):
            yield
        return
    branches = list_ideal(frontend)
    ideal = [branch.convolution for branch, _ in branches]
    made = make_kernels(branches, errors, layout)
    binnings = frontend.binnings if isinstance(frontend, ParallelFrontend) else ()
    for (branch, _), convolution in zip(branches, made, strict=True):
        branch.convolution = convolve_with(convolution, branch.convolution.weight.requires_grad)
    if isinstance(frontend, ParallelFrontend):
        frontend.binnings = (1,) * len(binnings)  # the chip's convolutions bin the images
    try:
        yield
        pass_gradients(made, [branch.convolution.weight.grad for branch, _ in branches])
    finally:
        for (branch, _), convolution in zip(branches, ideal, strict=True):
            branch.convolution = convolution
        if isinstance(frontend, ParallelFrontend):
            frontend.binnings = binnings


def list_ideal(frontend: object) -> list[tuple[IdealConvolution, int]]:
    """The layers of ideal kernels that optics are made of, each with its binning.

    Raises:
        OpticsError: They are made of something else.
    """
    pairs = frontend.pairs() if isinstance(frontend, ParallelFrontend) else [(frontend, 1)]
    found = [(one, size) for one, size in pairs if isinstance(one, IdealConvolution)]
    if len(found) < len(pairs):
        raise OpticsError(
            f"the optics are a {type(frontend).__name__}; a chip is drawn for a 4f system and for "
            "ideal kernels in one or several branches, an IdealConvolution or a ParallelFrontend "
            "of them"
        )
    return found


def make_kernels(
    branches: Sequence[tuple[IdealConvolution, int]], errors: ChipErrors, layout: Layout
) -> list[BranchConvolution]:
    """What a chip convolves with in each branch, differentiable in the kernels that were wanted.

    Args:
        branches: Layers of ideal kernels, each with its binning.
        errors: Fabrication errors of the chip.
        layout: Where their sub-optics lie.

    Returns:
        Convolutions of the scene with kernels that are larger than the wanted ones: a margin holds
        the light that has moved outwards.
    """
    wanted = [(branch.convolution.weight, size) for branch, size in branches]
    positive, negative = fabricate_kernels(wanted, errors, layout).psfs.unbind(1)
    signed = (positive - negative).flip(-1, -2).split([branch.kernels for branch, _ in branches])
    return [
        BranchConvolution(own, branch.convolution.stride[0], own.shape[-1] // 2).read_binned(size)
        for own, (branch, size) in zip(signed, branches, strict=True)
    ]


def pass_gradients(made: Sequence[BranchConvolution], gradients: Sequence[Tensor | None]) -> None:
    """Carry what training left at the kernels of a chip on to the kernels that were wanted."""
    found = [(one.weight, own) for one, own in zip(made, gradients, strict=True) if own is not None]
    if found:
        torch.autograd.backward([one for one, _ in found], [own for _, own in found])


def convolve_with(made: BranchConvolution, trained: bool) -> nn.Conv2d:
    """A convolution with copies of these kernels as its weights."""
    count, colours, size, _ = made.weight.shape
    # On no device: the random weights that a layer begins with are not needed.
    layer = nn.Conv2d(
        colours, count, size, made.stride, padding=made.padding, bias=False, device="meta"
    )
    layer.weight = nn.Parameter(made.weight.detach(), requires_grad=trained)
    lay_channels_last(layer)
    return layer
