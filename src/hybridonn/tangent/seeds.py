"""The combinations of outputs that a kernel sums over: all of them, or random signs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hybridonn.tangent.errors import TangentError


@dataclass(frozen=True)
class Seeds:
    """Combinations of outputs, made when they are needed: there may be one for each pixel.

    Attributes:
        count: how many.
        part: makes those of a slice, (C, ...).
    """

    count: int
    part: Callable[[slice], Tensor]


def seeds_of(
    shape: torch.Size, probes: int | None, generator: torch.Generator | None, like: Tensor
) -> Seeds:
    """All outputs one by one, or random signs.

    Args:
        shape: the shape of a sample's outputs.
        probes: the number of random sign combinations, or None for all outputs.
        generator: source of the signs.
        like: a tensor of the outputs' type and device.

    Returns:
        The combinations.

    Raises:
        TangentError: the number of probes is not positive.
    """
    if probes is None:
        return Seeds(shape.numel(), lambda part: unit_seeds(shape, part, like))
    if probes < 1:
        raise TangentError(f"probes is {probes}; it must be at least 1, or None for all outputs")
    signs = sign_seeds(shape, probes, like, generator)
    return Seeds(probes, lambda part: signs[part])


def unit_seeds(shape: torch.Size, part: slice, like: Tensor) -> Tensor:
    """One-hot combinations (C, ...) of some of the outputs of a shape (without samples)."""
    count = part.stop - part.start
    seeds = torch.zeros(count, shape.numel(), dtype=like.dtype, device=like.device)
    seeds[torch.arange(count), torch.arange(part.start, part.stop)] = 1
    return seeds.view(-1, *shape)


def sign_seeds(
    shape: torch.Size, probes: int, like: Tensor, generator: torch.Generator | None
) -> Tensor:
    """Random signs (probes, ...) / sqrt(probes): in expectation ``sum_k r_k r_k^T = I``."""
    device = like.device if generator is None else generator.device
    bits = torch.randint(0, 2, (probes, *shape), generator=generator, device=device)
    return (2 * bits - 1).to(like) / probes**0.5
