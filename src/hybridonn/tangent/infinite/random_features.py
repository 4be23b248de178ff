"""Random features of a convolution block, whose Gram matrices approximate its kernels.

With the patch u_p (scaled so that <u_p, v_q> is the pre-activations' covariance) and
a weight vector w with E[w w^T] = 1, ReLU splits into its odd and its even part,
relu(z) = (z + |z|) / 2 and relu'(z) = (1 + sign(z)) / 2, whose cross terms vanish:

    E[relu(wu) relu(wv)]           = <u, v> / 4 + c^2 |u| |v| / 4
                                     + E[(|wu| - c |u|) (|wv| - c |v|)] / 4
    E[relu'(wu) relu'(wv)] <u, v>  = <u, v> / 4 + E[sign(wu) sign(wv) (bu) (bv)] / 4

for any independent b with E[b b^T] = 1; c |u| = E|wu|. The first terms are computed
exactly; only the last ones, 18 % of the covariance and half of the tangent kernel at
u = v, are sampled (Rahimi & Recht 2007; Cho & Saul 2009). Pooling is a sum over p of
each feature. Three things make few features do:

- every cell of the pooled map has filters of its own: after ``Flatten`` a locally
  connected network has the kernel of the convolutional one (Novak et al. 2019,
  arXiv 1810.05148, section 5), and independent errors average over the cells;
- filters come in orthogonal sets (Yu et al. 2016, arXiv 1610.09072);
- filters have the fixed length sqrt(d), for which c is known and no length is sampled.

The sampled kernel is positive semi-definite and unbiased; its error falls as
(number of features)^(-1/2).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from hybridonn.tangent.infinite.block import Block

# Numbers in one working array: stays near the caches of a CPU core, fills a GPU.
CPU_WORK, CUDA_WORK = 2**20, 2**27


@dataclass(frozen=True)
class Filters:
    """Filters of some cells.

    Attributes:
        cells: the cells that the filters belong to.
        w: directions of the pre-activations, (cells, m, d).
        b: directions of the tangent term, (cells, m, d); None where it is not sampled.
    """

    cells: slice
    w: Tensor
    b: Tensor | None

    def to(self, images: Tensor) -> Filters:
        """The filters in the images' dtype and on their device."""
        return Filters(self.cells, self.w.to(images), None if self.b is None else self.b.to(images))


def mean_absolute(dimension: int) -> float:
    """E|w u| / |u| for w uniform on the sphere of radius sqrt(dimension).

    sqrt(d) Gamma(d / 2) / (sqrt(pi) Gamma((d + 1) / 2)); sqrt(2 / pi) for large d.
    """
    log = math.lgamma(dimension / 2) - math.lgamma((dimension + 1) / 2)
    return math.sqrt(dimension / math.pi) * math.exp(log)


def orthogonal_filters(sets: int, count: int, dimension: int, generator: torch.Generator) -> Tensor:
    """Random vectors of length sqrt(d), orthogonal in groups of d, (sets, count, d) float64."""
    groups = -(-count // dimension)
    height = min(count, dimension)
    normal = torch.randn(sets * groups, dimension, height, generator=generator, dtype=torch.float64)
    basis, upper = torch.linalg.qr(normal)
    basis = basis * upper.diagonal(dim1=1, dim2=2).sign()[:, None]  # uniform: Mezzadri 2007
    rows = basis.mT.reshape(sets, groups * height, dimension)
    return rows[:, :count] * math.sqrt(dimension)


def draw_filters(
    block: Block, features: int, cells_at_once: int, *, tangent: bool, seed: int
) -> Iterator[Filters]:
    """Filters for all cells, some cells at a time, from one seed.

    Args:
        block: the convolution block.
        features: number of features of all cells together.
        cells_at_once: cells in one draw; does not change the numbers drawn.
        tangent: sample the tangent term as well.
        seed: seed of the random filters.

    Yields:
        The filters of some cells.
    """
    generator = torch.Generator().manual_seed(seed)
    each = max(1, round(features / block.cells))
    dimension = block.pixels.shape[2] + (block.convolution.bias_variance > 0)
    for start in range(0, block.cells, cells_at_once):
        stop = min(start + cells_at_once, block.cells)
        drawn = [  # cell by cell, so that the draw does not depend on how cells are grouped
            orthogonal_filters(2 if tangent else 1, each, dimension, generator)
            for _ in range(start, stop)
        ]
        both = torch.stack(drawn)
        yield Filters(slice(start, stop), both[:, 0], both[:, 1] if tangent else None)


@dataclass(frozen=True)
class Features:
    """Features of some images in some cells; inner products are kernel terms.

    Attributes:
        even: (|wu| - c |u|) / 2 pooled, with c |u| / 2 pooled beside it, (N, cells (m + 1)).
        odd: sign(wu) (bu) / 2 pooled, (N, cells m); None where it is not sampled.
    """

    even: Tensor
    odd: Tensor | None


def pooled_features(block: Block, filters: Filters, images: Tensor) -> Features:
    """Pooled random features of the images, divided by the root of their number.

    Args:
        block: the convolution block; its tensors are on the images' device.
        filters: filters of some cells, in the images' dtype and on their device.
        images: images (N, C, H, W).

    Returns:
        The features of these cells.
    """
    pixels = block.pixels[filters.cells]
    cells, positions, _ = pixels.shape
    count = filters.w.shape[1]
    even = images.new_empty(len(images), cells, count + 1)
    odd = None if filters.b is None else images.new_empty(len(images), cells, count)
    work = CUDA_WORK if images.is_cuda else CPU_WORK
    rows = max(1, work // (cells * positions * max(count, pixels.shape[2])))
    for start in range(0, len(images), rows):
        part = slice(start, start + rows)
        patches = _gather(block, pixels, images[part])
        _fill(block, filters, patches, even[part], None if odd is None else odd[part])
    return Features(even.flatten(1), None if odd is None else odd.flatten(1))


def _gather(block: Block, pixels: Tensor, images: Tensor) -> Tensor:
    """Scaled patches with the bias as one more entry, (cells, N positions, d)."""
    layer = block.convolution
    padded = F.pad(images, [layer.padding] * 4).flatten(1)
    scale = math.sqrt(layer.weight_variance / pixels.shape[2])
    patches = (padded * scale)[:, pixels].transpose(0, 1)
    if layer.bias_variance > 0:
        patches = F.pad(patches, [0, 1], value=math.sqrt(layer.bias_variance))
    return patches.flatten(1, 2)


def _fill(
    block: Block, filters: Filters, patches: Tensor, even: Tensor, odd: Tensor | None
) -> None:
    """Write the pooled features of some patches into ``even`` and ``odd``."""
    rows, _, count = even.shape
    count -= 1
    cells, _, dimension = patches.shape
    weights = block.weights[filters.cells][:, None, None].to(patches.dtype)  # (cells, 1, 1, s)
    z = torch.bmm(patches, filters.w.mT)
    norm = patches.norm(dim=2, keepdim=True) * mean_absolute(dimension)
    pooled = weights @ z.abs().sub_(norm).view(cells, rows, -1, count)
    even[..., :count] = pooled[:, :, 0].transpose(0, 1) * (0.5 / math.sqrt(count))
    even[..., count] = (weights @ norm.view(cells, rows, -1, 1))[:, :, 0, 0].T * 0.5
    if odd is not None and filters.b is not None:
        tangent = torch.bmm(patches, filters.b.mT).mul_(z.sign_())
        pooled = weights @ tangent.view(cells, rows, -1, count)
        odd.copy_(pooled[:, :, 0].transpose(0, 1) * (0.5 / math.sqrt(count)))


def linear_metric(block: Block, images: Tensor) -> Tensor:
    """The metric M with x^T M x' = sum over cells of <mean u, mean v>, without the bias.

    Args:
        block: the convolution block.
        images: any images (N, C, H, W) of the shape, dtype and device that are meant.

    Returns:
        The metric (C H W, C H W).
    """
    pixels = images[0].numel()
    basis = torch.eye(pixels, dtype=images.dtype, device=images.device)
    padded = F.pad(basis.view(pixels, *images.shape[1:]), [block.convolution.padding] * 4)
    padded = padded.flatten(1)
    scale = block.convolution.weight_variance / block.pixels.shape[2]
    metric = torch.zeros_like(basis)
    for cell in range(block.cells):
        weights = block.weights[cell].to(images.dtype)
        used = weights > 0
        means = torch.einsum("nsd,s->nd", padded[:, block.pixels[cell][used]], weights[used])
        metric.addmm_(means, means.T, alpha=scale)
    return metric
