"""The combinations of outputs that a kernel sums over: all outputs one by one, or random signs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hybridonn.tangent.empirical.checks import check_count, check_generator


@dataclass(frozen=True)
class OutputVectors:
    """Vectors r_k that combine a sample's outputs to ``r_k . f``.

    They are made when they are needed: there may be one for each pixel.

    Attributes:
        count: the number of vectors.
        part: makes the vectors of a slice, (C, ...).
    """

    count: int
    part: Callable[[slice], Tensor]

    def all(self) -> Tensor:
        """All vectors, (count, ...)."""
        return self.part(slice(0, self.count))


def output_vectors(
    shape: torch.Size, probes: int | None, generator: torch.Generator | None, like: Tensor
) -> OutputVectors:
    """Unit vectors, which take all outputs one by one, or random signs.

    Args:
        shape: the shape of a sample's outputs.
        probes: the number of random sign vectors, or None for all outputs.
        generator: source of the signs.
        like: a tensor of the outputs' type and device.

    Returns:
        The vectors.

    Raises:
        TangentError: the number of probes is not positive.
    """
    if probes is None:
        return OutputVectors(shape.numel(), lambda part: unit_vectors(shape, part, like))
    check_count(probes, "probes", "at least 1, or None for all outputs")
    check_generator(generator)
    signs = sign_vectors(shape, probes, like, generator)
    return OutputVectors(probes, lambda part: signs[part])


def unit_vectors(shape: torch.Size, part: slice, like: Tensor) -> Tensor:
    """Unit vectors (C, ...) of some of the outputs of a shape (without samples)."""
    count = part.stop - part.start
    vectors = torch.zeros(count, shape.numel(), dtype=like.dtype, device=like.device)
    vectors[torch.arange(count), torch.arange(part.start, part.stop)] = 1
    return vectors.view(-1, *shape)


def sign_vectors(
    shape: torch.Size, probes: int, like: Tensor, generator: torch.Generator | None
) -> Tensor:
    """Random signs (probes, ...) / sqrt(probes): in expectation ``sum_k r_k r_k^T = I``."""
    device = like.device if generator is None else generator.device
    bits = torch.randint(0, 2, (probes, *shape), generator=generator, device=device)
    return (2 * bits - 1).to(like) / probes**0.5


def fixed_normal(outputs: Tensor) -> Tensor:
    """One normally distributed vector (1, ...) for some outputs (n, ...), always the same."""
    drawn = torch.randn(outputs.shape[1:], generator=torch.Generator().manual_seed(1))
    return drawn[None].to(outputs)
