"""The infinite-width kernel of a design for its images: exact, or the best that fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from hybridonn.core.errors import SpecError
from hybridonn.core.progress import Progress
from hybridonn.tangent.infinite import (
    Layer,
    approximate_kernels,
    count_rectified,
    infinite_kernels,
    starts_with_block,
)

Method = Literal["auto", "exact", "features"]
# Arc-cosine evaluations up to which "auto" computes the exact kernel: measured at
# 25 ns each with pooling on one CPU core, this is about four minutes.
EXACT_EVALUATIONS = 1e10
# The part of the memory that is planned for; the rest is torch and the images.
PLANNED = 0.85


@dataclass(frozen=True)
class DesignKernel:
    """A kernel between all images and the columns.

    Attributes:
        matrix: (N, M) float32.
        method: How it was computed, in words.
    """

    matrix: Tensor
    method: str


def columns_within(rows: int, memory_gb: float, landmarks: int, train: int) -> int:
    """How many training images can be columns: all of them where memory allows.

    Two kernels of float32 (NNGP and NTK) are held while the kernel is made; one of them
    and three float64 systems of the size of the columns while it is solved.

    Args:
        rows: All images, training and others.
        memory_gb: Memory, GB (10^9 bytes).
        landmarks: The most columns where not all training images can be.
        train: Training images.

    Raises:
        SpecError: Fewer than 100 columns fit.
    """
    room = memory_gb * 1e9 * PLANNED
    most = min(int(room / (8 * rows)), int((-rows * 4 + ((rows * 4) ** 2 + 96 * room) ** 0.5) / 48))
    if train <= most:
        return train
    if min(most, landmarks) < min(100, train):
        raise SpecError(
            f"memory_gb is {memory_gb:g} and landmarks {landmarks}; {rows} images leave room for "
            f"{max(0, most)} columns of the kernel and at least 100 are needed: "
            "give more memory, more landmarks or fewer images"
        )
    return min(most, landmarks)


def design_kernel(
    layers: Sequence[Layer],
    images: Tensor,
    columns: int,
    *,
    method: Method,
    features: int,
    seed: int,
    memory_gb: float,
    progress: Progress | None,
    folder: Path | None,
) -> DesignKernel:
    """The NTK of a network between all images and the first of them.

    Args:
        layers: The network.
        images: Images (N, C, H, W), float32.
        columns: The first so many images are the columns.
        method: "exact"; "features": the first ReLU sampled (see
            :func:`hybridonn.tangent.infinite.approximate_kernels`); "auto":
            exact where that takes minutes or the network has more than one convolution.
        features: Random features.
        seed: Seed of the random features.
        memory_gb: Memory, GB.
        progress: Shows how far it is.
        folder: Where finished tiles of an exact kernel are kept.

    Raises:
        TangentError: The layers do not fit together, or the memory is too small.
    """
    if is_sampled(layers, images, columns, method):
        matrix = approximate_kernels(
            layers,
            images,
            torch.arange(columns),
            features=features,
            seed=seed,
            memory_gb=memory_gb * PLANNED + 0.5,
            progress=progress,
        )
        return DesignKernel(matrix, f"NTK from {features} random features a kernel")
    blocks = [
        infinite_kernels(
            layers,
            *block,
            memory_gb=working_memory(memory_gb),
            progress=progress,
            folder=folder,
        )
        for block in list_blocks(images, columns)
    ]
    return DesignKernel(torch.cat(blocks), "exact NTK")


def is_sampled(layers: Sequence[Layer], images: Tensor, columns: int, method: Method) -> bool:
    """Whether the first ReLU of a kernel is sampled; else the kernel is exact.

    Args:
        layers: The network.
        images: Images (N, C, H, W).
        columns: The first so many images are the columns.
        method: As of :func:`design_kernel`.

    Raises:
        TangentError: The layers do not fit together.
    """
    if method != "auto":
        return method == "features"
    cost = len(images) * columns * count_rectified(layers, images.shape[2], images.shape[3])
    return cost > EXACT_EVALUATIONS and starts_with_block(layers)


def list_blocks(images: Tensor, columns: int) -> list[tuple[Tensor, Tensor | None]]:
    """The images of rows and columns of each block of an exact kernel, from the top to the bottom.

    The first block is that of the columns with themselves, for which the images of the columns
    are None; the second, if there is one, that of all other images with them.
    """
    square = (images[:columns], None)
    below = (images[columns:], images[:columns])
    return [square] if columns == len(images) else [square, below]


def working_memory(memory_gb: float) -> float:
    """Memory for an exact kernel beside the images and itself, GB, of so much in all."""
    return min(2.0, memory_gb / 4)
