"""The kernel of a design with its own, finite number of optical kernels.

At infinite width designs with 1 and with 1,000 kernels are the same. Here the optical
layer has the design's K kernels, drawn as training draws them (He et al. 2015, eq. 10),
and everything behind it is infinitely wide. With u_p(x) the patch at position p, scaled
so that w_k u_p is kernel k's image, and phi_kc its rectified, pooled value in cell c:

    NNGP behind Flatten   1 / (K C) sum_kc phi_kc(x) phi_kc(x')
    NTK behind Flatten    1 / (K C) sum_kc <d phi_kc(x) / d w_k, d phi_kc(x') / d w_k>

Where both signs of an image are kept, the sums run over both.

The second is the part of the trained optical layer in expectation over the first dense
layer's weights, which are independent from cell to cell; the dense layers above act on
both entry by entry, exactly. It is sampled along F random directions in all (k, c, w):
the derivatives of F outputs with random heads, each by a random change of the kernels.

F counts. A network has K d optical parameters (d = C k^2) for all its outputs together,
but a regression fits every output for itself; F = K d / outputs gives both the same
number of free optical parameters. The expectation itself (F to infinity) lets a single
kernel do what no single kernel can: with 1 kernel of 7 x 7 and 2 x 2 pooling it promised
87 % on MNIST where training reached 56 %, F = 5 promised 64 % (2,000 images).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from statistics import stdev
from time import perf_counter

import torch
from torch import Tensor
from torch.nn import functional as F

from hybridonn import spec
from hybridonn.core.errors import SpecError
from hybridonn.core.progress import Progress, Silent
from hybridonn.core.random import generator_of
from hybridonn.estimation.architecture import architecture_of
from hybridonn.estimation.design_kernel import columns_within
from hybridonn.estimation.estimate import Estimate, Settings, estimate_from_kernel
from hybridonn.estimation.ridge import (
    SingularKernelError,
    build_system,
    one_hot,
    predict,
    solve_system,
)
from hybridonn.tangent.infinite import (
    HE_VARIANCE,
    Block,
    Dense,
    Relu,
    Shape,
    split_block,
    through_dense_layers,
)

WORK = 2**20  # numbers in one array of patches: stays near the caches of a CPU core

Directions = Callable[[int], Tensor]


def estimate_design(
    student: spec.Student,
    train_images: Tensor,
    train_labels: Tensor,
    test_images: Tensor,
    test_labels: Tensor,
    *,
    draws: int = 3,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Estimate:
    """Estimate the accuracy of a design with its own number of optical kernels.

    A regression for each draw of the kernels. The draw with the least squared error on
    the held-out part of the training images counts: training leaves a poor draw behind
    (a kernel that is dark everywhere, say), a regression cannot. The first draw chooses
    lambda and the others take it over, since choosing costs most of a regression; one whose
    kernel is singular at it chooses its own. The uncertainty holds the resampled test and
    training images and the standard deviation of the accuracy over the draws.

    Args:
        student: The design; either kind of pooling.
        train_images: Scenes (N, C, H, W), floating point, in [0, 1].
        train_labels: Classes (N,), int64.
        test_images: Scenes (M, C, H, W).
        test_labels: Classes (M,).
        draws: How many draws of the kernels.
        settings: How; method and features are of the infinite kernel and not used.
        progress: Shows how far it is.

    Raises:
        DataError: Images and labels do not fit together, or a number is not finite.
        SpecError: There is no draw, or the memory does not hold the kernel.
        SingularKernelError: The kernel is singular at every lambda.
    """
    if draws < 1:
        raise SpecError(f"draws is {draws}; allowed is 1 or more")
    started = perf_counter()
    settings = settings or Settings()
    count = len(train_labels)
    generator = generator_of("order of the design's estimate", settings.seed)
    order = torch.randperm(count, generator=generator).to(train_labels.device)
    images = torch.cat([train_images[order], test_images])
    labels = torch.cat([train_labels[order], test_labels])
    columns = columns_within(len(images), settings.memory_gb, settings.landmarks, count)
    outputs = int(labels.max()) + 1
    derivatives = count_derivatives(student, images.shape[1], outputs)
    found: list[tuple[float, Estimate]] = []
    with (progress or Silent()).bar("regression with the design's kernels", draws) as advance:
        for draw in range(draws):
            kernel = finite_kernel(
                student,
                images,
                columns,
                derivatives=derivatives,
                seed=settings.seed,
                draw=draw,
            )
            one = _estimate_draw(kernel, labels, count, settings, found)
            held = max(1, round(settings.validation_fraction * count))
            found.append((_held_out_error(kernel, labels[:count], held, one.lambda_), one))
            advance()
    return _choose(found, student, perf_counter() - started)


def _estimate_draw(
    kernel: Tensor,
    labels: Tensor,
    count: int,
    settings: Settings,
    before: list[tuple[float, Estimate]],
) -> Estimate:
    """The estimate of a draw, by the lambda of the first draw where its kernel allows it."""
    if before:
        taken = replace(settings, lambdas=(before[0][1].lambda_,))
        with suppress(SingularKernelError):
            return estimate_from_kernel(kernel, labels, count, settings=taken)
    return estimate_from_kernel(kernel, labels, count, settings=settings)


def _held_out_error(kernel: Tensor, labels: Tensor, held: int, lambda_: float) -> float:
    """Mean squared error on the last training images of a fit to the others."""
    targets = one_hot(labels, int(labels.max()) + 1)
    fit = len(labels) - held
    ridge = solve_system(build_system(kernel[:fit], targets[:fit]), lambda_)
    scores = predict(ridge, kernel[fit : len(labels)])
    return float((scores - targets[fit:]).square().mean())


def _choose(found: list[tuple[float, Estimate]], student: spec.Student, seconds: float) -> Estimate:
    best = min(found, key=lambda pair: pair[0])[1]
    accuracies = [one.accuracy for _, one in found]
    chance = stdev(accuracies) if len(found) > 1 else 0.0
    kernels = f"{student.kernels} optical kernel{'s' * (student.kernels > 1)}"
    return replace(
        best,
        uncertainty=math.hypot(best.uncertainty, chance),
        seconds=seconds,
        method=f"NTK with {kernels}, best of {len(found)} draws; {best.method}",
    )


@dataclass(frozen=True)
class Optical:
    """An optical layer with drawn kernels.

    Attributes:
        block: Which pixels each position of each pooled cell sees.
        kernels: w_k, (K, d), each entry of variance 2 / d.
        directions: Directions of a cell, (S d, F), each entry of variance 2 / d, along which the
            derivatives are taken; None: the kernels are not trained.
        maximum: Whether the cells take the largest value in place of the mean.
        two_sided: Whether both signs of an image are kept, each with a head of its own:
            there are S = 2 K rectified images, else S = K.
    """

    block: Block
    kernels: Tensor
    directions: Directions | None
    maximum: bool
    two_sided: bool = False

    @property
    def features(self) -> int:
        """Values behind ``Flatten``, S C."""
        return len(self.kernels) * (1 + self.two_sided) * self.block.cells


def draw_optical(
    student: spec.Student,
    image_shape: tuple[int, int, int],
    *seeds: int,
    derivatives: int = 0,
) -> Optical:
    """Draw the kernels of a design, and the directions of their derivatives.

    Args:
        student: The design.
        image_shape: (C, H, W) of a scene.
        seeds: What the draw depends on.
        derivatives: F; 0: the kernels are not trained.
    """
    channels, height, width = image_shape
    layers = architecture_of(student, max_pooling="average")
    block = split_block(layers, channels, Shape(height, width))
    dimension = channels * student.kernel_size**2
    scale = math.sqrt(HE_VARIANCE / dimension)
    generator = generator_of("optical kernels", *seeds)
    kernels = scale * torch.randn(student.kernels, dimension, generator=generator)

    maximum, two_sided = student.pooling == "max", student.rectification == "two_sided"
    count = kernels.numel() * (1 + two_sided)

    def draw_directions(cell: int) -> Tensor:
        generator = generator_of("directions", *seeds, cell)
        return scale * torch.randn(count, derivatives, generator=generator)

    return Optical(block, kernels, draw_directions if derivatives else None, maximum, two_sided)


def count_derivatives(student: spec.Student, channels: int, outputs: int) -> int:
    """F, optical parameters for each output: K d / outputs, at least 1."""
    return max(1, round(student.kernels * channels * student.kernel_size**2 / outputs))


def optical_features(optical: Optical, images: Tensor) -> tuple[Tensor, Tensor | None]:
    """Rectified, pooled values and their derivatives by the kernels.

    Args:
        optical: The layer.
        images: (N, C, H, W).

    Returns:
        phi, (N, C S), and the derivatives along the directions, (N, F), or None.
    """
    block = optical.block
    padded = F.pad(images, [block.convolution.padding] * 4).flatten(1)
    rows = max(1, WORK // block.pixels[0].numel())
    values, slopes = [], None
    for cell in range(block.cells):
        directions = None if optical.directions is None else optical.directions(cell).to(padded)
        parts = [_cell(optical, cell, part, directions) for part in padded.split(rows)]
        values.append(torch.cat([value for value, _ in parts]))
        along = [slope for _, slope in parts if slope is not None]
        if along:
            slopes = torch.cat(along) if slopes is None else slopes.add_(torch.cat(along))
    return torch.cat(values, 1), slopes


def _cell(
    optical: Optical, cell: int, padded: Tensor, directions: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    share = optical.block.weights[cell].to(padded)
    inside = share > 0
    patches = padded[:, optical.block.pixels[cell].to(padded.device)[inside]]  # (n, s, d)
    pictures = patches @ optical.kernels.to(padded).T
    if optical.two_sided:
        pictures = torch.cat([pictures, -pictures], 2)
    gate = (pictures > 0).to(padded)
    if optical.maximum:  # its derivative is that of the position that attains it
        value, where = pictures.relu().max(1)
        gate *= torch.zeros_like(gate).scatter_(1, where[:, None], 1.0)
    else:
        gate *= share[inside, None]
        value = (pictures * gate).sum(1)
    if directions is None:
        return value, None
    slope = gate.mT @ patches  # d phi_s / d w_k, (n, S, d)
    if optical.two_sided:
        slope[:, len(optical.kernels) :] *= -1
    return value, slope.flatten(1) @ directions


def finite_kernel(
    student: spec.Student,
    images: Tensor,
    columns: int,
    *,
    derivatives: int,
    seed: int = 0,
    draw: int = 0,
) -> Tensor:
    """NTK of a design with one draw of its kernels, between all images and the first.

    Args:
        student: The design.
        images: Images (N, C, H, W), floating point; device and dtype compute.
        columns: The first so many images are the columns.
        derivatives: F, see :func:`count_derivatives`; 0: the optical kernels stay as
            drawn and only what is behind them is trained.
        seed: Seed of the draws.
        draw: Which of them.
    """
    channels, height, width = images.shape[1:]
    shape = channels, height, width
    optical = draw_optical(student, shape, seed, draw, derivatives=derivatives)
    values, slopes = optical_features(optical, images)
    covariance = (values @ values[:columns].T).div_(optical.features)
    variance = values.square().sum(1).div_(optical.features)
    tangent = None
    if slopes is not None:
        tangent = (slopes @ slopes[:columns].T).div_(derivatives * optical.features)
    variances = variance, variance[:columns]
    return through_dense_layers(optical.block.dense, covariance, tangent, variances)


def through_dense(
    hidden: int,
    covariance: Tensor,
    variance: Tensor,
    tangent: Tensor | None,
    columns_variance: Tensor | None = None,
) -> Tensor:
    """NTK behind infinitely wide, trained dense layers with ReLUs between them.

    Args:
        hidden: Hidden layers.
        covariance: NNGP kernel behind ``Flatten``, (N, M); overwritten.
        variance: Covariance of every row's image with itself, (N,).
        tangent: NTK behind ``Flatten``, (N, M); None: nothing before it is trained.
        columns_variance: Covariance of every column's image with itself, (M,); None: the
            columns are the first rows.
    """
    if columns_variance is None:
        columns_variance = variance[: covariance.shape[1]]
    layers = (*(Dense(), Relu()) * hidden, Dense())
    return through_dense_layers(layers, covariance, tangent, (variance, columns_variance))
