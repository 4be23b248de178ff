"""Estimate of the accuracy of a design before training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Literal

import torch
from torch import Tensor

from hybridonn.core.errors import DataError, SpecError
from hybridonn.core.progress import Advance, Progress, Silent
from hybridonn.core.random import generator_of
from hybridonn.estimation.design_kernel import columns_within, design_kernel
from hybridonn.estimation.penalty import LAMBDAS, choose_lambda
from hybridonn.estimation.resampling import bootstrap_error, jackknife_error
from hybridonn.estimation.ridge import (
    build_system,
    one_hot,
    predict,
    solve_system,
)
from hybridonn.tangent.infinite import DEFAULT_FEATURES, Layer

KEPT_FRACTION = 0.8  # of the training images in one resample; jackknife of a fifth


@dataclass(frozen=True)
class Settings:
    """How an accuracy is estimated.

    Attributes:
        method: "exact", "features" (first ReLU sampled) or "auto".
        features: Random features for each of the two kernels.
        landmarks: Columns of the kernel where not all training images fit into memory.
        lambdas: Penalties to choose from, in units of the kernel's mean diagonal.
        validation_fraction: Share of the training images, where no validation images are given.
        curve_sizes: Training images of the learning curve; None: all, 1/2, 1/4, ... to 100.
        train_resamples: Resampled training sets for the error bar; None: 5 where the
            regression is exact, else none (each costs a whole fit).
        memory_gb: Memory for kernels and solves, GB (10^9 bytes).
        seed: Seed of the split, the features and the resampling.
    """

    method: Literal["auto", "exact", "features"] = "auto"
    features: int = DEFAULT_FEATURES
    landmarks: int = 8192
    lambdas: tuple[float, ...] = LAMBDAS
    validation_fraction: float = 0.1
    curve_sizes: tuple[int, ...] | None = None
    train_resamples: int | None = None
    memory_gb: float = 8.0
    seed: int = 0


@dataclass(frozen=True)
class CurvePoint:
    """Accuracy, or mIoU, with the first ``images`` training images, lambda chosen anew for them."""

    images: int
    accuracy: float
    lambda_: float


@dataclass(frozen=True)
class Estimate:
    """The accuracy that kernel regression reaches.

    Attributes:
        accuracy: On the test images, between 0 and 1; of masks their mIoU.
        uncertainty: Standard error: test and, where resampled, training images.
        seconds: Kernel, regression and resampling together.
        lambda_: The chosen penalty, in units of the kernel's mean diagonal.
        learning_curve: Accuracy against number of training images, nested sets.
        method: Kernel and regression, in words.
        test_uncertainty: Standard error from resampling the test images.
        train_uncertainty: The same from the training images; None: not resampled.
        scores: The metric of each test image, (N,) float64; their mean is the accuracy.
    """

    accuracy: float
    uncertainty: float
    seconds: float
    lambda_: float
    learning_curve: tuple[CurvePoint, ...]
    method: str
    test_uncertainty: float
    train_uncertainty: float | None
    scores: Tensor


@dataclass(frozen=True)
class _Parts:
    """One kernel with rows fit, validation and test images; the columns are fit images.

    Where the validation images are a part of the training images, ``train`` counts both.
    """

    kernel: Tensor
    labels: Tensor
    fit: int
    validation: int
    train: int
    classes: int

    def rows(self, start: int, stop: int | None) -> tuple[Tensor, Tensor]:
        return self.kernel[start:stop], self.labels[start:stop]

    @property
    def judged(self) -> tuple[Tensor, Tensor]:
        return self.rows(self.fit, self.fit + self.validation)

    @property
    def tested(self) -> tuple[Tensor, Tensor]:
        return self.rows(self.fit + self.validation, None)


def estimate_accuracy(
    layers: Sequence[Layer],
    train_images: Tensor,
    train_labels: Tensor,
    test_images: Tensor,
    test_labels: Tensor,
    *,
    validation: tuple[Tensor, Tensor] | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
    folder: Path | None = None,
) -> Estimate:
    """Estimate the accuracy of a design by regression with its infinite-width NTK.

    The kernel is exact where that takes minutes; else its first ReLU is sampled
    (unbiased behind the pooling, see :mod:`hybridonn.tangent.infinite.random_features`). The
    regression is exact where memory allows; else it has landmarks
    (see :mod:`hybridonn.estimation.ridge`). ``Estimate.method`` says which.

    Args:
        layers: The infinitely wide network, see :func:`architecture_of`.
        train_images: Scenes (N, C, H, W), floating point, in [0, 1].
        train_labels: Classes (N,), int64.
        test_images: Scenes (M, C, H, W).
        test_labels: Classes (M,).
        validation: Scenes and classes that choose lambda and are never fitted; None: a
            part of the training images, which is fitted with the rest in the end.
        settings: How.
        progress: Shows how far it is.
        folder: Where an exact kernel keeps its finished tiles.

    Raises:
        DataError: Images and labels do not fit together.
        SpecError: A setting or the memory does not fit.
        TangentError: The layers do not fit together, or an image is not finite.
        SingularKernelError: The kernel is singular at every lambda.
    """
    started = perf_counter()
    settings = settings or Settings()
    _check_settings(settings)
    _check_labels(train_images, train_labels, "training")
    _check_labels(test_images, test_labels, "test")
    order = order_images(len(train_labels), settings).to(train_labels.device)
    sets = [(train_images[order], train_labels[order]), (test_images, test_labels)]
    if validation is not None:
        _check_labels(*validation, "validation")
        sets.insert(1, validation)
    images, labels = (torch.cat(parts) for parts in zip(*sets, strict=True))
    columns = columns_within(len(images), settings.memory_gb, settings.landmarks, len(train_labels))
    kernel = design_kernel(
        layers,
        images,
        columns,
        method=settings.method,
        features=settings.features,
        seed=settings.seed,
        memory_gb=settings.memory_gb,
        progress=progress,
        folder=folder,
    )
    counts = len(train_labels), 0 if validation is None else len(validation[1])
    found = estimate_from_kernel(
        kernel.matrix, labels, *counts, settings=settings, progress=progress
    )
    method = f"{kernel.method}; {found.method}"
    return replace(found, method=method, seconds=perf_counter() - started)


def order_images(count: int, settings: Settings) -> Tensor:
    """The order in which training images become rows and columns of the kernel, (N,) int64.

    Args:
        count: Number of training images.
        settings: How an accuracy is estimated.
    """
    return torch.randperm(count, generator=generator_of("order of the estimate", settings.seed))


def estimate_from_kernel(
    kernel: Tensor,
    labels: Tensor,
    train: int,
    validation: int = 0,
    *,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Estimate:
    """Estimate an accuracy from any kernel, infinite-width or empirical.

    Args:
        kernel: Between all images and the first M training images, (N, M): rows are
            training, validation, then test images. M < ``train``: landmarks.
        labels: Classes of the rows, (N,) int64.
        train: Training images.
        validation: Validation images; 0: the last of the training images choose lambda
            and are fitted with the rest in the end.
        settings: How.
        progress: Shows how far it is.

    Raises:
        DataError: The kernel is not finite, or has no rows for the test.
        SpecError: A setting is not allowed.
        SingularKernelError: The kernel is singular at every lambda.
    """
    started = perf_counter()
    settings = settings or Settings()
    _check_settings(settings)
    parts = _split(kernel, labels, train, validation, settings.validation_fraction)
    sizes = _curve_sizes(settings.curve_sizes, parts.fit)
    exact = kernel.shape[1] >= train
    resamples = settings.train_resamples
    resamples = (5 if exact else 0) if resamples is None else resamples
    steps = len(sizes) * len(settings.lambdas) + 1 + resamples
    with (progress or Silent()).bar("kernel ridge regression", steps) as advance:
        points = [_curve_point(parts, size, settings.lambdas, advance) for size in sizes]
        lambda_ = points[-1].lambda_
        right = _fit(parts, torch.arange(parts.train), lambda_) == parts.tested[1]
        advance()
        test_error = bootstrap_error(right, seed=settings.seed)
        train_error = _train_error(parts, lambda_, resamples, settings.seed, advance)
    accuracy = float(right.double().mean())
    if parts.train > parts.fit:
        points.append(CurvePoint(parts.train, accuracy, lambda_))
    ridge = "exact" if exact else f"{kernel.shape[1]} landmarks"
    return Estimate(
        accuracy=accuracy,
        uncertainty=math.hypot(test_error, train_error or 0.0),
        seconds=perf_counter() - started,
        lambda_=lambda_,
        learning_curve=tuple(points),
        method=f"kernel ridge regression, {ridge}, {train} training images",
        test_uncertainty=test_error,
        train_uncertainty=train_error,
        scores=right.double().cpu(),
    )


def _curve_point(
    parts: _Parts, size: int, lambdas: Sequence[float], advance: Advance
) -> CurvePoint:
    kernel, labels = parts.rows(0, size)
    system = build_system(kernel, one_hot(labels, parts.classes))
    lambda_ = choose_lambda(system, *parts.judged, lambdas, advance)
    tested, truth = parts.tested
    right = predict(solve_system(system, lambda_), tested).argmax(1) == truth
    return CurvePoint(size, float(right.double().mean()), lambda_)


def _fit(parts: _Parts, rows: Tensor, lambda_: float) -> Tensor:
    """Predicted classes of the test images after a fit to these training images."""
    rows = rows.to(parts.kernel.device)
    everything = len(rows) == parts.train
    kernel = parts.kernel[: parts.train] if everything else parts.kernel[rows]
    tested, width = parts.tested[0], parts.kernel.shape[1]
    landmarks = None
    if width < parts.train:
        landmarks = parts.kernel[:width]
    elif not everything:
        kernel, tested = kernel[:, rows], tested[:, rows]
    system = build_system(kernel, one_hot(parts.labels[rows], parts.classes), landmarks)
    return predict(solve_system(system, lambda_), tested).argmax(1)


def _train_error(
    parts: _Parts, lambda_: float, resamples: int, seed: int, advance: Advance
) -> float | None:
    if resamples == 0:
        return None
    generator = generator_of("resampled training images", seed)
    kept = min(max(1, round(KEPT_FRACTION * parts.train)), parts.train - 1)  # one at least is out
    accuracies = []
    for _ in range(resamples):
        rows = torch.randperm(parts.train, generator=generator)[:kept]
        right = _fit(parts, rows, lambda_) == parts.tested[1]
        accuracies.append(float(right.double().mean()))
        advance()
    return jackknife_error(accuracies, kept / parts.train)


def _split(kernel: Tensor, labels: Tensor, train: int, validation: int, fraction: float) -> _Parts:
    if len(kernel) != len(labels) or len(kernel) <= train + validation or train < 2:
        raise DataError(
            f"the kernel has {len(kernel)} rows and there are {len(labels)} labels, {train} "
            f"training and {validation} validation images; rows and labels must agree, with at "
            "least 2 training and 1 test image"
        )
    finite = kernel.isfinite().all(1)
    if not bool(finite.all()):
        raise DataError(
            f"the kernel is not finite in row {int((~finite).nonzero()[0])}; "
            "look at the image of this row, or compute the kernel in float64"
        )
    classes = int(labels.max()) + 1
    if validation:
        return _Parts(kernel, labels, train, validation, train, classes)
    held = min(train - 1, max(1, round(fraction * train)))
    return _Parts(kernel, labels, train - held, held, train, classes)


def _curve_sizes(asked: tuple[int, ...] | None, fit: int) -> tuple[int, ...]:
    if asked is None:
        halvings = [fit >> step for step in range(fit.bit_length()) if fit >> step >= 100]
        asked = tuple(halvings)
    elif min(asked, default=1) < 1:
        raise SpecError(f"curve_sizes are {asked}; every size must be 1 or more")
    return (*sorted({size for size in asked if size < fit}), fit)


def _check_settings(settings: Settings) -> None:
    if not settings.lambdas or min(settings.lambdas) < 0:
        raise SpecError(
            f"lambdas are {settings.lambdas}; give at least one, all of them 0 or above"
        )
    if not 0 < settings.validation_fraction < 1:
        raise SpecError(
            f"validation_fraction is {settings.validation_fraction:g}; it lies between 0 and 1"
        )
    for name in ("features", "landmarks"):
        if getattr(settings, name) < 1:
            raise SpecError(f"{name} is {getattr(settings, name)}; it must be 1 or more")
    if settings.method not in ("auto", "exact", "features"):
        raise SpecError(f'method is "{settings.method}"; allowed are auto, exact and features')
    if settings.train_resamples is not None and settings.train_resamples < 0:
        raise SpecError(f"train_resamples is {settings.train_resamples}; it must be 0 or more")


def _check_labels(images: Tensor, labels: Tensor, name: str) -> None:
    if not images.is_floating_point():
        raise DataError(
            f"the {name} images hold {images.dtype}; the kernel needs floating point numbers: "
            "give images.float() / 255"
        )
    if labels.ndim != 1 or len(images) != len(labels):
        raise DataError(
            f"there are {len(images)} {name} images and labels of shape {tuple(labels.shape)}; "
            "each image needs one class"
        )
    if labels.is_floating_point() or bool((labels < 0).any()):
        raise DataError(f"the {name} labels are not classes: they must be integers from 0 up")
