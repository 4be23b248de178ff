"""The exact kernel of an estimate in strips, which several processes can compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hybridonn.estimation.architecture import architecture_of
from hybridonn.estimation.design_kernel import (
    columns_within,
    is_sampled,
    list_blocks,
    working_memory,
)
from hybridonn.estimation.estimate import order_images
from hybridonn.estimation.estimators import EstimateInputs
from hybridonn.tangent.infinite import Layer, count_strips, finish_strip


@dataclass(frozen=True)
class KernelStrips:
    """The kernel that an estimate with infinitely many optical kernels will ask for.

    Attributes:
        layers: The network.
        blocks: Images of rows and columns of each block; None: the same.
        memory_gb: Working memory, GB.
        folder: Where finished tiles are kept.
    """

    layers: Sequence[Layer]
    blocks: list[tuple[Tensor, Tensor | None]]
    memory_gb: float
    folder: Path

    def list_strips(self) -> list[tuple[int, int]]:
        """Number of the block and of the strip in it, of each strip."""
        return [
            (number, strip)
            for number, (rows, _) in enumerate(self.blocks)
            for strip in range(count_strips(len(rows)))
        ]

    def finish(self, block: int, strip: int) -> int:
        """Compute a strip, unless it is finished; the number of its tiles."""
        rows, columns = self.blocks[block]
        return finish_strip(
            self.layers,
            rows,
            columns,
            strip=strip,
            folder=self.folder,
            memory_gb=self.memory_gb,
        )


def cut_kernel(inputs: EstimateInputs) -> KernelStrips | None:
    """The strips of the kernel of :func:`hybridonn.estimation.estimators.estimate_infinite`.

    Args:
        inputs: Those of the estimate.

    Returns:
        None: the kernel is sampled by random features, and has none.

    Raises:
        SpecError: The design has no analytic kernel, or the memory does not hold it.
    """
    settings = inputs.settings
    layers = architecture_of(inputs.student, max_pooling="average")
    (train, labels), (test, _) = inputs.train, inputs.test
    images = torch.cat([train[order_images(len(labels), settings)], test])
    columns = columns_within(len(images), settings.memory_gb, settings.landmarks, len(labels))
    if is_sampled(layers, images, columns, settings.method):
        return None
    blocks = list_blocks(images, columns)
    return KernelStrips(layers, blocks, working_memory(settings.memory_gb), inputs.folder)
