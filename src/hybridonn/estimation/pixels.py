"""The mIoU that a segmentation design can reach, before anyone trains it.

Kernel ridge regression on single cells (pixels of the finest sensor, with one target for
every scene pixel and class in it). The kernel of two cells is the NTK of infinitely wide
dense layers on what the design's electronics see around each, with the design's own number
of optical kernels (:mod:`hybridonn.estimation.neighbourhood`):

    covariance(p, q) = sum_b share_b mean_t phi_b(p + t) phi_b(q + t)

over the taps t of branch b's windows, then arc-cosine kernels (Cho & Saul 2009), one for each
layer at a resolution. Cells are sampled at random, the same number from each image, since
all cells are millions; the regression has landmarks among them (Nystroem: subset of
regressors, see :mod:`hybridonn.estimation.ridge`).

It leaves out the training of the optical kernels (the best of several draws stands for it),
ReLUs between the layers that gather a neighbourhood (they stand behind it), sight beyond the
windows, and the Dice part of the loss: the regression is of squares. It ranks designs; it is
no bound of what training reaches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import stdev
from time import perf_counter

import torch
from torch import Tensor
from torch.nn import functional as F

from hybridonn import spec
from hybridonn.core.errors import DataError, SpecError
from hybridonn.core.progress import Progress, Silent
from hybridonn.core.random import generator_of
from hybridonn.estimation.estimate import (
    KEPT_FRACTION,
    CurvePoint,
    Estimate,
    Settings,
)
from hybridonn.estimation.finite import through_dense
from hybridonn.estimation.neighbourhood import BATCH, Sight, covary, draw_sight, look_at_cells
from hybridonn.estimation.penalty import least_error
from hybridonn.estimation.resampling import bootstrap_error, jackknife_error
from hybridonn.estimation.ridge import Ridge, System, build_system, predict, solve_system

SAMPLED = 20_000  # cells of all training images together
LANDMARKS = 1024  # of them
TESTED = 600_000  # cells of the test images; beyond, only every so manieth row and column
# In units of the kernel's mean diagonal: cells of an image are alike, so that their
# regression takes penalties far above those of independent images.
LAMBDAS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
JITTER = 1e-6  # of the mean diagonal of the landmarks' kernel, the rounding of the others'
SMALLEST = 8  # training images of the learning curve's first point
RESAMPLES = 5

Score = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Masked:
    """Scenes (N, C, H, W), floating point, in [0, 1], with their masks (N, H, W)."""

    scenes: Tensor
    masks: Tensor

    def take(self, order: Tensor) -> Masked:
        """The images at these positions."""
        return Masked(self.scenes[order], self.masks[order])


@dataclass(frozen=True)
class _Sample:
    """Sampled cells of the training images, image by image.

    Attributes:
        sight: The optics.
        kernel: Kernel of the cells with the landmarks, (N P, M).
        square: Kernel of the landmarks, (M, M).
        landmarks: What they see, (M, D), and their variances, (M,).
        targets: One-hot classes of the scene pixels of each cell, (N P, f f classes).
        cells: Sampled of an image, P.
        marked: Landmarks in an image, L; the first M / L images have them.
        held: Images at the end that choose lambda.
    """

    sight: Sight
    kernel: Tensor
    square: Tensor
    landmarks: tuple[Tensor, Tensor]
    targets: Tensor
    cells: int
    marked: int
    held: int

    @property
    def images(self) -> int:
        """All of them, N."""
        return len(self.kernel) // self.cells

    def system(self, images: int) -> System:
        """The regression on the first images alone, with the landmarks in them alone."""
        count = min(images * self.marked, len(self.square))
        rows = slice(0, images * self.cells)
        square = self.square[:count, :count]
        return build_system(self.kernel[rows, :count], self.targets[rows], square)

    def without(self, left_out: Tensor) -> System:
        """The regression without some images; they may still hold landmarks."""
        kept = torch.ones(self.images, dtype=torch.bool)
        kept[left_out] = False
        rows = kept.repeat_interleave(self.cells).to(self.kernel.device)
        return build_system(self.kernel[rows], self.targets[rows], self.square)

    @property
    def judged(self) -> tuple[Tensor, Tensor]:
        """Kernel and targets of the images that choose lambda."""
        start = (self.images - self.held) * self.cells
        return self.kernel[start:], self.targets[start:]


def estimate_masks(
    student: spec.Student,
    train: Masked,
    test: Masked,
    classes: int,
    score: Score,
    *,
    draws: int = 3,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Estimate:
    """Estimate the mIoU of a design that answers each pixel.

    As :func:`hybridonn.estimation.finite.estimate_design` does for classes: the draw of the
    optical kernels with the least squared error on the held-out training images counts, and
    the first draw chooses lambda. The uncertainty holds the resampled test images, the
    training images (jackknife), and the deviation of the held-out images' score over draws.

    Args:
        student: The design.
        train: Training images.
        test: Test images.
        classes: How many there are.
        score: The metric of each image, (B,), from (B, classes, H, W) and masks (B, H, W).
        draws: How many draws of the kernels.
        settings: Its memory, seed, validation_fraction and curve_sizes are used.
        progress: Shows how far it is.

    Raises:
        DataError: There are too few images.
        SpecError: There is no draw, or the memory does not hold the kernel.
        SingularKernelError: The kernel is singular at every lambda.
    """
    started = perf_counter()
    settings = settings or Settings()
    if draws < 1:
        raise SpecError(f"draws is {draws}; allowed is 1 or more")
    if len(train.masks) < 2 or not len(test.masks):
        raise DataError(
            f"there are {len(train.masks)} training and {len(test.masks)} test images; an "
            "estimate takes at least 2 and 1"
        )
    order = torch.randperm(len(train.masks), generator=generator_of("order", settings.seed))
    train = train.take(order.to(train.masks.device))
    best, error, scores, lambdas = None, math.inf, [], LAMBDAS
    with (progress or Silent()).bar("regression of pixels", draws + 1) as advance:
        for draw in range(draws):
            sample = _sample(student, train, classes, settings, draw)
            found, lambda_ = _hold_out(sample, lambdas)
            scores.append(_score_held(sample, lambda_, train, classes, score))
            lambdas = (lambda_,)  # the first draw chooses it
            if found < error:
                best, error = sample, found
            advance()
        assert best is not None  # there is a draw
        estimate = _judge(best, lambdas[0], test, classes, score, settings)
        advance()
    chance = stdev(scores) if len(scores) > 1 else 0.0
    return _name(estimate, student, draws, best, chance, perf_counter() - started)


def _sample(
    student: spec.Student, train: Masked, classes: int, settings: Settings, draw: int
) -> _Sample:
    """Draw the optics and look at cells of every training image through them."""
    sight = draw_sight(student, train.scenes, settings.seed, draw)
    targets = _targets(train.masks, sight.binnings[0], classes)
    count, area = targets.shape[:2]
    cells, marked = min(area, -(-SAMPLED // count)), max(1, LANDMARKS // count)
    marked = min(marked, cells)
    generator = generator_of("cells", settings.seed)
    chosen = torch.stack([torch.randperm(area, generator=generator)[:cells] for _ in range(count)])
    chosen = chosen.to(targets.device)
    seen = look_at_cells(sight, train.scenes, chosen)
    _check_memory(seen, settings.memory_gb)
    landmarks = seen[: LANDMARKS // marked, :marked].flatten(0, 1)
    seen = seen.flatten(0, 1)
    variances = [one.square().sum(1) for one in (seen, landmarks)]
    held = min(count - 1, max(1, round(settings.validation_fraction * count)))
    return _Sample(
        sight,
        through_dense(sight.hidden, seen @ landmarks.T, variances[0], None, variances[1]),
        _landmark_kernel(sight.hidden, landmarks.double()),
        (landmarks, variances[1]),
        targets.gather(1, chosen[..., None].expand(-1, -1, targets.shape[2])).flatten(0, 1),
        cells,
        marked,
        held,
    )


def _landmark_kernel(hidden: int, landmarks: Tensor) -> Tensor:
    """The landmarks' own kernel (M, M), float64: few kernels see too little to make it regular."""
    square = through_dense(hidden, landmarks @ landmarks.T, landmarks.square().sum(1), None)
    square.diagonal().add_(JITTER * square.diagonal().mean())
    return square


def _targets(masks: Tensor, side: int, classes: int) -> Tensor:
    """One-hot classes of the side x side pixels of every cell, (N, cells, side side classes)."""
    count, height, width = masks.shape
    split = masks.view(count, height // side, side, width // side, side).transpose(2, 3)
    hot = F.one_hot(split.reshape(count, -1, side * side).long(), classes)
    return hot.flatten(2).float()


def _hold_out(sample: _Sample, lambdas: Sequence[float]) -> tuple[float, float]:
    """The squared error on the held-out images, and the lambda of it."""
    system = sample.system(sample.images - sample.held)
    return least_error(system, *sample.judged, lambdas)


def _score_held(
    sample: _Sample, lambda_: float, train: Masked, classes: int, score: Score
) -> float:
    """The mean metric of the held-out images, on their sampled cells."""
    ridge = solve_system(sample.system(sample.images - sample.held), lambda_)
    kernel, targets = sample.judged
    scores = predict(ridge, kernel).view(sample.held, -1, 1, classes).movedim(-1, 1)
    truth = targets.view(sample.held, -1, 1, classes).argmax(-1)
    return float(score(scores, truth).mean())


def _judge(
    sample: _Sample, lambda_: float, test: Masked, classes: int, score: Score, settings: Settings
) -> Estimate:
    """Fit to growing and to resampled sets of images, and test all fits in one pass."""
    sizes = _curve_sizes(settings.curve_sizes, sample.images)
    points = [_choose(sample, size) for size in sizes[:-1]]
    fits = [
        solve_system(sample.system(size), one) for size, one in zip(sizes, points, strict=False)
    ]
    fits.append(solve_system(sample.system(sample.images), lambda_))
    order = torch.randperm(sample.images, generator=generator_of("resamples", settings.seed))
    folds = [one for one in order.chunk(RESAMPLES) if len(one) < sample.images]
    fits += [solve_system(sample.without(fold), lambda_) for fold in folds]
    scores = _test(sample, fits, test, classes, score)
    means = scores.mean(1).tolist()
    curve = [CurvePoint(*row) for row in zip(sizes, means, [*points, lambda_], strict=False)]
    last = len(sizes) - 1
    test_error = bootstrap_error(scores[last], seed=settings.seed)
    train_error = jackknife_error(means[last + 1 :], KEPT_FRACTION) if len(folds) > 1 else 0.0
    return Estimate(
        accuracy=means[last],
        uncertainty=math.hypot(test_error, train_error),
        seconds=0.0,
        lambda_=lambda_,
        learning_curve=tuple(curve),
        method="",
        test_uncertainty=test_error,
        train_uncertainty=train_error,
        scores=scores[last].double(),
    )


def _choose(sample: _Sample, images: int) -> float:
    """The lambda of a fit to the first images."""
    return least_error(sample.system(images), *sample.judged, LAMBDAS)[1]


def _curve_sizes(asked: tuple[int, ...] | None, images: int) -> tuple[int, ...]:
    if asked is None:
        halvings = [images >> step for step in range(images.bit_length())]
        asked = tuple(size for size in halvings if size >= SMALLEST)
    return (*sorted({size for size in asked if 2 <= size < images}), images)


def _test(
    sample: _Sample, fits: Sequence[Ridge], test: Masked, classes: int, score: Score
) -> Tensor:
    """The metric of each fit and image, (S, N), over the cells that are tested."""
    coefficients, means = _stack(fits, len(sample.square))
    side = sample.sight.binnings[0]
    height, width = test.masks.shape[1:]
    area = height * width // side**2 * len(test.masks)
    step = math.ceil(math.sqrt(area / TESTED)) if area > TESTED else 1
    rows, columns = (-(-one // (side * step)) for one in (height, width))
    split = test.masks.view(len(test.masks), height // side, side, width // side, side)
    truth = split[:, ::step, :, ::step].reshape(len(test.masks), rows * side, columns * side)
    found = []
    for start in range(0, len(test.masks), BATCH):
        kernels = covary(
            sample.sight, test.scenes[start : start + BATCH], sample.landmarks[0], step
        )
        for image, (covariance, variance) in enumerate(kernels, start):
            kernel = through_dense(
                sample.sight.hidden, covariance, variance, None, sample.landmarks[1]
            )
            scores = kernel @ coefficients + means
            scores = scores.view(rows, columns, len(fits), side, side, classes)
            scores = scores.permute(2, 5, 0, 3, 1, 4).flatten(4, 5).flatten(2, 3)
            found.append(score(scores, truth[image].expand(len(fits), -1, -1)))
    return torch.stack(found, 1).cpu()


def _stack(fits: Sequence[Ridge], landmarks: int) -> tuple[Tensor, Tensor]:
    """Coefficients (M, S T) of all fits side by side, and their means."""
    padded = [F.pad(fit.coefficients, (0, 0, 0, landmarks - len(fit.coefficients))) for fit in fits]
    return torch.cat(padded, 1).float(), torch.cat([fit.mean for fit in fits]).float()


def _check_memory(seen: Tensor, memory_gb: float) -> None:
    # What the cells see, their kernel, its double, and three systems of the landmarks in float64.
    cells, width = seen.shape[0] * seen.shape[1], seen.shape[2]
    needed = (cells * (4 * width + 12 * LANDMARKS) + 3 * 8 * LANDMARKS**2) * 1e-9
    if needed > memory_gb:
        raise SpecError(
            f"memory_gb is {memory_gb:g}; {cells} cells of {len(seen)} training images that see "
            f"{width} numbers each need {needed:.2g}: give more memory or a smaller student"
        )


def _name(
    found: Estimate,
    student: spec.Student,
    draws: int,
    sample: _Sample,
    chance: float,
    seconds: float,
) -> Estimate:
    rows, landmarks = len(sample.kernel), len(sample.square)
    method = (
        f"NTK of neighbourhoods with {student.kernels} optical kernels, best of {draws} draws; "
        f"kernel ridge regression of {rows:,} pixels with {landmarks:,} landmarks (Nystroem), "
        f"{sample.images} training images"
    )
    uncertainty = math.hypot(found.uncertainty, chance)
    return replace(found, method=method, seconds=seconds, uncertainty=uncertainty)
