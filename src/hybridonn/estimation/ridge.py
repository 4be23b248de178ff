"""Kernel ridge regression on one-hot classes, exact or with landmarks.

Exact, with the n x n kernel matrix K of the training images and penalty l:

    coefficients = (K + l I)^-1 (Y - mean Y)

With m < n landmarks among the training images, K_nm between all and them (subset of
regressors: Smola & Schoelkopf 2000; accuracy of it: Rudi, Camoriano & Rosasco 2015,
arXiv 1507.04717, eq. 6):

    coefficients = (K_nm^T K_nm + l K_mm)^-1 K_nm^T (Y - mean Y)

solved through the Cholesky factor R of K_mm, as (R^-1 K_nm^T K_nm R^-T + l I). Both are
one symmetric system of the form (A + l I) c = b, so a grid of penalties costs one
Cholesky factorisation each (n^3 / 3; an eigendecomposition, 9 n^3 and poorly parallel,
would pay from about 27 penalties on). The penalty is l = lambda times the kernel's mean
diagonal, which makes lambda free of the kernel's scale. All solves are in float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hybridonn.core.errors import HybridonnError

ROWS = 2048  # training images whose products are added at once


class SingularKernelError(HybridonnError):
    """The kernel matrix cannot be inverted at this lambda."""


@dataclass(frozen=True)
class System:
    """(A + l I) c = b, ready for any penalty.

    Attributes:
        matrix: A, (m, m) float64.
        right: b, (m, classes) float64.
        factor: R with R R^T = K_mm, (m, m); None: exact, coefficients are c.
        mean: Mean of the one-hot targets, (classes,).
        scale: Mean diagonal of the kernel.
        images: Training images, n.
    """

    matrix: Tensor
    right: Tensor
    factor: Tensor | None
    mean: Tensor
    scale: float
    images: int


@dataclass(frozen=True)
class Ridge:
    """A fitted regression.

    Attributes:
        coefficients: (m, classes) float64.
        mean: Added to every prediction, (classes,).
    """

    coefficients: Tensor
    mean: Tensor


def build_system(kernel: Tensor, targets: Tensor, landmarks: Tensor | None = None) -> System:
    """Set the regression up.

    Args:
        kernel: Between n training images and M columns, (n, M). Without ``landmarks``
            the columns are training images too, in the same order: the first n of them
            are used and the regression is exact where M >= n; else the first M training
            images are the landmarks.
        targets: One-hot classes, (n, classes).
        landmarks: The landmarks' own kernel (M, M), where they are not the first rows.

    Raises:
        SingularKernelError: The landmarks' kernel is singular beyond rounding.
    """
    count = len(kernel)
    targets = targets.double()
    mean = targets.mean(0)
    centred = targets - mean
    square = kernel[: kernel.shape[1], :count] if landmarks is None else landmarks
    scale = float(square.diagonal().double().mean())
    if landmarks is None and kernel.shape[1] >= count:
        return System(square.double(), centred, None, mean, scale, count)
    factor = _landmark_factor(square, scale)
    gram, right = _products(kernel, centred)
    solve = torch.linalg.solve_triangular
    gram = solve(factor, gram, upper=False)
    gram = solve(factor, gram.T, upper=False)
    return System(gram, solve(factor, right, upper=False), factor, mean, scale, count)


def solve_system(system: System, lambda_: float) -> Ridge:
    """Fit with a penalty of lambda times the kernel's mean diagonal.

    Raises:
        SingularKernelError: The matrix is singular at this lambda.
    """
    matrix = system.matrix.clone()
    matrix.diagonal().add_(lambda_ * system.scale)
    factor, failed = torch.linalg.cholesky_ex(matrix)
    pivots = factor.diagonal().square()
    limit = len(pivots) * torch.finfo(torch.float64).eps * float(matrix.diagonal().max())
    if int(failed) or not float(pivots.min()) > limit:
        raise SingularKernelError(
            f"the kernel matrix of {system.images} images is singular at lambda {lambda_:g} (its "
            f"pivots fall below {limit:.1g}): take a lambda above it, such as "
            f"{max(1e-6, 10 * lambda_):g}, and look for images that occur twice"
        )
    coefficients = torch.cholesky_solve(system.right, factor)
    if system.factor is not None:
        coefficients = torch.linalg.solve_triangular(system.factor.mT, coefficients, upper=True)
    return Ridge(coefficients, system.mean)


def predict(ridge: Ridge, kernel: Tensor) -> Tensor:
    """Class scores (N, classes) from the kernel to the training images or landmarks, (N, M).

    Columns behind the regression's own are left out, so that nested subsets of the
    training images share one kernel.
    """
    columns = kernel[:, : len(ridge.coefficients)]
    parts = [part.double() @ ridge.coefficients for part in columns.split(ROWS)]
    return torch.cat(parts) + ridge.mean


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """Targets (N, classes) float64 from labels (N,) int64."""
    return torch.nn.functional.one_hot(labels, classes).double()


def _landmark_factor(square: Tensor, scale: float) -> Tensor:
    """Cholesky factor of K_mm, its diagonal raised by the rounding of its entries.

    A symmetric matrix of m x m independent rounding errors eps has eigenvalues down to
    -2 sqrt(m) eps (Wigner's semicircle), which may make small ones negative: three lifts them.

    Raises:
        SingularKernelError: The matrix is not positive definite even so.
    """
    matrix = square.double()
    rounding = 3 * math.sqrt(len(matrix)) * torch.finfo(square.dtype).eps
    matrix.diagonal().add_(rounding * scale)
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if int(failed):
        raise SingularKernelError(
            f"the kernel matrix of the {len(matrix)} landmarks is singular beyond rounding "
            f"({rounding:.1g} of its diagonal): take fewer landmarks, and look for images that "
            "occur twice"
        )
    return factor


def _products(kernel: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    width = kernel.shape[1]
    gram = torch.zeros(width, width, dtype=torch.float64, device=kernel.device)
    right = torch.zeros(width, targets.shape[1], dtype=torch.float64, device=kernel.device)
    for part, target in zip(kernel.split(ROWS), targets.split(ROWS), strict=True):
        block = part.double()
        gram.addmm_(block.T, block)
        right.addmm_(block.T, target)
    return gram, right
