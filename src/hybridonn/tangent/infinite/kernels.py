"""Exact NNGP and NTK of an infinitely wide network, in tiles under a memory budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hybridonn.tangent.infinite.checks import (
    Kernel,
    check_images,
    check_network,
    check_pair,
    pairs_within,
)
from hybridonn.tangent.infinite.geometry import Shape
from hybridonn.tangent.infinite.layers import Layer
from hybridonn.tangent.infinite.pairs import plan_pairs
from hybridonn.tangent.infinite.propagate import (
    Kernels,
    PreparedNetwork,
    between,
    cross_covariance,
    deviations_of_images,
    prepare,
)
from hybridonn.tangent.infinite.tiles import TILE, TileStore, open_store
from hybridonn.tangent.progress import Advance, Progress, open_bar

# Numbers held at once on a CPU: more gain no speed, they only leave its caches
# (measured with 7 x 7 convolution and 6 x 6 pooling: 2^23 as fast as 2^21, 2^25 slower).
CPU_VALUES = 2**23


def infinite_kernels(
    layers: Sequence[Layer],
    x1: Tensor,
    x2: Tensor | None = None,
    *,
    kernel: Kernel = "ntk",
    memory_gb: float = 2.0,
    dtype: torch.dtype = torch.float32,
    progress: Progress | None = None,
    folder: Path | None = None,
) -> Tensor:
    """The exact kernel of an infinitely wide network between two sets of images.

    Only the covariances of position pairs that the head needs are carried (see
    :mod:`hybridonn.tangent.infinite.pairs`), for as many image pairs at a time as
    the memory allows; the numbers do not depend on the budget beyond rounding.

    Args:
        layers: the network, ending in one position (``Flatten``, ``Dense``).
        x1: images (N1, C, H, W), floating point; the kernel is computed on their device.
        x2: images (N2, C, H, W); None: x1, where only half of the tiles are computed.
        kernel: "ntk" (tangent kernel of the trained layers) or "nngp" (covariance of
            the outputs).
        memory_gb: working memory beside the images and the result, GB (10^9 bytes).
        dtype: type of the numbers that are computed and returned. In float32 the NTK is good
            to about 1e-4 relative (see :func:`hybridonn.tangent.infinite.arccosine.rectify`).
        progress: shows how many image pairs are done.
        folder: folder of finished tiles; a second call with the same network, images and dtype
            goes on where the first one was interrupted. None: nothing is kept.

    Returns:
        The kernel (N1, N2).

    Raises:
        TangentError: the images are integer, not finite, empty or of different shapes, the
            layers do not fit together, the budget is below one image pair, or a stored tile
            cannot be read or written.
    """
    work = _prepare(layers, x1, x2, kernel, memory_gb, dtype, folder)
    first, second = work.images
    result = torch.empty(len(first), len(second), dtype=dtype, device=x1.device)
    total = _image_pairs(len(first), len(second), symmetric=x2 is None)
    with open_bar(progress, f"infinite-width {kernel.upper()}", total) as advance:
        for row, column in _tiles(len(first), len(second), work.symmetric):
            tile = _take(work, row, column, advance)
            result[row : row + TILE, column : column + TILE] = tile
            if work.symmetric and row != column:
                result[column : column + TILE, row : row + TILE] = tile.T
    return result


def count_strips(images: int) -> int:
    """Strips of tiles of a kernel, each of which :func:`finish_strip` can finish on its own.

    Args:
        images: Rows of the kernel.
    """
    return -(-images // TILE)


def finish_strip(
    layers: Sequence[Layer],
    x1: Tensor,
    x2: Tensor | None = None,
    *,
    strip: int,
    folder: Path,
    kernel: Kernel = "ntk",
    memory_gb: float = 2.0,
    dtype: torch.dtype = torch.float32,
) -> int:
    """Store the tiles of one strip of rows, which :func:`infinite_kernels` will find.

    Several processes can finish the strips of a kernel at the same time; the kernel is the
    same as of one process, if all arguments are.

    Args:
        layers: the network.
        x1: images (N1, C, H, W), floating point.
        x2: images (N2, C, H, W); None: x1.
        strip: number of the strip, below :func:`count_strips` of the images x1.
        folder: folder of finished tiles.
        kernel: "ntk" or "nngp".
        memory_gb: working memory beside the images, GB.
        dtype: type of the numbers.

    Returns:
        The number of tiles that the strip has.

    Raises:
        TangentError: as of :func:`infinite_kernels`.
    """
    work = _prepare(layers, x1, x2, kernel, memory_gb, dtype, folder)
    first, second = work.images
    own = [one for one in _tiles(len(first), len(second), work.symmetric) if one[0] == strip * TILE]
    for row, column in own:
        _take(work, row, column, lambda steps=1: None)
    return len(own)


@dataclass(frozen=True)
class _Work:
    """A kernel that is to be computed.

    Attributes:
        network: the network.
        images: of the rows and of the columns.
        symmetric: whether they are the same.
        pairs: image pairs at a time.
        store: finished tiles; None: none are kept.
    """

    network: PreparedNetwork
    images: tuple[Tensor, Tensor]
    symmetric: bool
    pairs: int
    store: TileStore | None


def _prepare(
    layers: Sequence[Layer],
    x1: Tensor,
    x2: Tensor | None,
    kernel: Kernel,
    memory_gb: float,
    dtype: torch.dtype,
    folder: Path | None,
) -> _Work:
    check_images(x1, "x1")
    if x2 is not None:
        check_images(x2, "x2")
        check_pair(x1, x2)
    first = x1.detach().to(dtype)
    second = first if x2 is None else x2.detach().to(dtype)
    image = Shape(x1.shape[2], x1.shape[3])
    check_network(layers, image, kernel)
    network = prepare(layers, image, tangent=kernel == "ntk", device=x1.device, dtype=dtype)
    pairs = pairs_within(memory_gb, network.pairs.values, dtype, kernel)
    store = None if folder is None else open_store(folder, layers, kernel, first, second)
    return _Work(network, (first, second), x2 is None, pairs, store)


def count_rectified(layers: Sequence[Layer], height: int, width: int) -> int:
    """Arc-cosine evaluations that one entry of the exact kernel takes: its cost.

    Args:
        layers: the network.
        height: rows of the images.
        width: columns of the images.

    Returns:
        The number of evaluations for one pair of images.

    Raises:
        TangentError: a layer does not fit what comes before it.
    """
    return plan_pairs(layers, Shape(height, width)).rectified


def _image_pairs(rows: int, columns: int, symmetric: bool) -> int:
    """The image pairs of all tiles that are computed."""
    return sum(
        (min(r + TILE, rows) - r) * (min(c + TILE, columns) - c)
        for r, c in _tiles(rows, columns, symmetric)
    )


def _tiles(rows: int, columns: int, symmetric: bool) -> Iterator[tuple[int, int]]:
    """The first row and column of each tile; of a symmetric kernel the upper half."""
    for row in range(0, rows, TILE):
        for column in range(row if symmetric else 0, columns, TILE):
            yield row, column


def _take(work: _Work, row: int, column: int, advance: Advance) -> Tensor:
    """The tile at this row and column of images: the stored one, or computed and stored."""
    first, second = work.images
    one, two = first[row : row + TILE], second[column : column + TILE]
    place = row // TILE, column // TILE
    tile = work.store.read(*place) if work.store else None
    if tile is not None:
        advance(len(one) * len(two))
        return tile
    half = work.symmetric and row == column
    tile = _tile(work.network, one, two, work.pairs, advance, half)
    tile = _mirror(tile) if half else tile
    if work.store:
        work.store.write(*place, tile)
    return tile


def _mirror(tile: Tensor) -> Tensor:
    """The upper triangle on both sides: rounding must not make a kernel asymmetric."""
    return tile.triu() + tile.triu(1).T


def _tile(
    network: PreparedNetwork, one: Tensor, two: Tensor, pairs: int, advance: Advance, half: bool
) -> Tensor:
    """One tile, some image pairs at a time; of a half only what touches the upper triangle."""
    limit = pairs if one.is_cuda else min(pairs, max(1, CPU_VALUES // network.pairs.values))
    columns = min(len(two), limit)
    rows = min(len(one), limit // columns)
    tile = one.new_zeros(len(one), len(two))
    lefts = range(0, len(two), columns)
    lower = [two[left : left + columns] for left in lefts]
    lower_deviations = [deviations_of_images(network, part) for part in lower]
    for top in range(0, len(one), rows):
        upper = one[top : top + rows]
        upper_deviations = deviations_of_images(network, upper)
        for number, left in enumerate(lefts):
            if half and left + columns <= top:
                advance(len(upper) * len(lower[number]))
                continue
            entering = Kernels(cross_covariance(network.pairs, upper, lower[number]), None)
            out = between(network, entering, upper_deviations, lower_deviations[number])
            part = out.wanted(tangent=network.tangent)
            tile[top : top + rows, left : left + columns] = part
            advance(part.numel())
    return tile
