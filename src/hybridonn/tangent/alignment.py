"""How similar two kernel matrices are, whatever the sizes of the networks behind them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from hybridonn.tangent.empirical.precision import at_least_single
from hybridonn.tangent.errors import TangentError

# Mean eigenvalues of a centred kernel, by validation images of CIFAR-10: docs/results/cifar10.md.
RIDGE = 0.3


def centre(kernel: Tensor) -> Tensor:
    """Remove the mean of the features behind a kernel: ``H K H`` with ``H = I - 11'/n``.

    Args:
        kernel: symmetric kernel (n, n).

    Returns:
        The doubly centred kernel (n, n); its rows and columns sum to zero.
        Cortes, Mohri, Rostamizadeh, JMLR 13 (2012).
    """
    columns = kernel - kernel.mean(0, keepdim=True)
    return columns - columns.mean(1, keepdim=True)


def centre_without_diagonal(kernel: Tensor) -> Tensor:
    """Remove the mean of the features behind a kernel's off-diagonal entries ("U-centring").

    ``K_ij - (r_i + c_j) / (n - 2) + s / ((n - 1)(n - 2))`` off the diagonal with the sums r of
    rows, c of columns and s of all entries but the diagonal's, and zero on it: the orthogonal
    projection onto matrices of empty diagonal whose rows and columns sum to zero.

    Args:
        kernel: symmetric kernel (n, n), n at least 4.

    Returns:
        The centred kernel (n, n). Szekely and Rizzo, Annals of Statistics 42 (2014).
    """
    n = len(kernel)
    hollow = kernel - torch.diag(kernel.diagonal())
    rows, columns = hollow.sum(1, keepdim=True), hollow.sum(0, keepdim=True)
    shift = (rows + columns) / (n - 2) - hollow.sum() / ((n - 1) * (n - 2))
    found = hollow - shift
    return found - torch.diag(found.diagonal())


def centred_alignment(kernel: Tensor, other: Tensor) -> Tensor:
    """Centred kernel alignment (CKA), 1 for kernels equal up to scale and shift of features.

    ``<HKH, HLH>_F / (||HKH||_F ||HLH||_F)``: Cortes et al., JMLR 13 (2012);
    Kornblith et al., ICML 2019. It lies in [0, 1] for positive semidefinite kernels
    and does not change when a kernel is scaled or its features are rotated or shifted.

    Args:
        kernel: kernel (n, n), of the student for example.
        other: kernel (n, n) of the same samples.

    Returns:
        A scalar, differentiable; 0 with a zero gradient where a centred kernel vanishes
        (all samples look the same to that network), since no direction is better there.

    Raises:
        TangentError: the kernels are not square matrices of the same size.
    """
    _require_equal_squares(kernel, other)
    return _Cosine.apply(kernel, other, centre)


def debiased_alignment(kernel: Tensor, other: Tensor) -> Tensor:
    """Centred alignment of pairs of different samples only; its estimate has no bias in n.

    In a batch, much of centred alignment is agreement of the diagonals, which says nothing about
    how samples are related: it is far above zero for unrelated kernels of few samples. With
    both kernels centred without their diagonals their inner product is the unbiased HSIC_1 of
    Song et al., JMLR 13 (2012); for networks: Nguyen, Raghu and Kornblith, ICLR 2021.

    Args:
        kernel: kernel (n, n), n at least 4.
        other: kernel (n, n) of the same samples.

    Returns:
        A scalar at most 1, differentiable; about 0 for unrelated kernels, of either sign; 0 with
        a zero gradient where a centred kernel vanishes.

    Raises:
        TangentError: the kernels are not square matrices of the same size, or of fewer than 4
            samples.
    """
    _require_equal_squares(kernel, other)
    if len(kernel) < 4:
        raise TangentError(
            f"the kernels are of {len(kernel)} samples; without its diagonal a kernel can be "
            "centred from 4 on: use larger batches, or centred_alignment"
        )
    return _Cosine.apply(kernel, other, centre_without_diagonal)


def smoother(kernel: Tensor, ridge: float = RIDGE) -> Tensor:
    """The matrix by which kernel ridge regression maps centred targets to fitted values.

    ``S = K_c (K_c + ridge * m I)^-1`` with the centred kernel K_c and the mean m of its
    eigenvalues: fitted values are ``S y`` (Hastie, Tibshirani and Friedman 2009, sections 5.4.1
    and 12.3.7). Its eigenvalues ``e / (e + ridge m)`` lie in [0, 1): directions that the
    network's tangent features can fit at all count alike, the strongest no more than others.

    Args:
        kernel: symmetric positive semidefinite kernel (n, n).
        ridge: the penalty, in mean eigenvalues.

    Returns:
        The smoother (n, n), symmetric, its rows and columns summing to zero; differentiable. Zero
        with a zero gradient where the centred kernel vanishes.

    Raises:
        TangentError: the ridge is not positive, or the kernel is not square, or not positive
            semidefinite up to the ridge.
    """
    if not 0 < ridge < torch.inf:
        raise TangentError(f"ridge is {ridge}; it must be positive, 0.1 to 1 for example")
    _require_equal_squares(kernel, kernel)
    kernel = at_least_single(kernel)
    centred = centre(kernel / _largest(kernel))
    mean = centred.diagonal().mean()
    scaled = centred / torch.where(mean > _noise(centred) / len(centred), mean, torch.inf)
    return _Smoother.apply(scaled, ridge)


def ridge_alignment(kernel: Tensor, other: Tensor, ridge: float = RIDGE) -> Tensor:
    """The alignment of what kernel ridge regression predicts with either kernel.

    The cosine of the two smoothers. A few eigenvalues of centred kernels, those of the classes, are
    far above the others: they dominate centred alignment, and the logits hold them already. Here
    every direction counts by whether it can be learnt: for a large ridge this is centred
    alignment, for a small one the mean squared canonical correlation of the spaces that the
    features span. Ridge regression as the measure of a representation: Boix-Adsera et al.,
    NeurIPS 2022. For distillation: ours.

    Args:
        kernel: kernel (n, n), of the student for example.
        other: kernel (n, n) of the same samples.
        ridge: the penalty, in mean eigenvalues of each centred kernel.

    Returns:
        A scalar in [0, 1] for positive semidefinite kernels, differentiable; it does not change
        when a kernel is scaled or its features are rotated or shifted. 0 with a zero gradient
        where a centred kernel vanishes.

    Raises:
        TangentError: the kernels are not square matrices of the same size, or not positive
            semidefinite up to the ridge, or the ridge is not positive.
    """
    _require_equal_squares(kernel, other)
    return _Cosine.apply(smoother(kernel, ridge), smoother(other, ridge), None)


def cosine_alignment(kernel: Tensor, other: Tensor) -> Tensor:
    """Kernel alignment without centring, ``<K, L>_F / (||K||_F ||L||_F)``.

    Cristianini et al., NeurIPS 2001.

    Args:
        kernel: kernel (n, n).
        other: kernel (n, n) of the same samples.

    Returns:
        A scalar, differentiable; 0 with a zero gradient where a kernel is zero.

    Raises:
        TangentError: the kernels are not square matrices of the same size.
    """
    _require_equal_squares(kernel, other)
    return _Cosine.apply(kernel, other, None)


def mse(kernel: Tensor, other: Tensor) -> Tensor:
    """Mean squared difference of two kernels, ``||K - L||_F^2 / n^2``; it depends on scale.

    Args:
        kernel: kernel (n, n).
        other: kernel (n, n) of the same samples.

    Returns:
        A scalar, differentiable.

    Raises:
        TangentError: the kernels are not square matrices of the same size.
    """
    _require_equal_squares(kernel, other)
    return (kernel - other).square().mean()


class _Smoother(torch.autograd.Function):
    """``S = K (K + r I)^-1`` for a symmetric K, by Cholesky's factor: half the work of a solution.

    ``dS = r (K + r I)^-1 dK (K + r I)^-1``, and ``r (K + r I)^-1`` is ``I - S``.
    """

    @staticmethod
    def forward(ctx: Any, kernel: Tensor, ridge: float) -> Tensor:
        factor, failed = torch.linalg.cholesky_ex(kernel + ridge * _identity(kernel))
        if failed and kernel.isfinite().all():  # otherwise the result is not finite, which is seen
            lowest = float(torch.linalg.eigvalsh(kernel)[0])
            raise TangentError(
                f"a centred kernel has an eigenvalue of {lowest:.2g} times their mean, which a "
                f"ridge of {ridge} does not lift above zero: it must be positive semidefinite up "
                "to rounding; take a larger ridge, or float64"
            )
        found = torch.cholesky_inverse(factor) @ kernel
        ctx.ridge = ridge
        ctx.save_for_backward(found)
        return found

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (found,) = ctx.saved_tensors
        rest = _identity(found) - found
        return rest @ gradient @ rest / ctx.ridge, None


def _identity(like: Tensor) -> Tensor:
    """The identity matrix of a matrix's size, type and device."""
    return torch.eye(len(like), dtype=like.dtype, device=like.device)


_Centring = Callable[[Tensor], Tensor]


class _Cosine(torch.autograd.Function):
    """The cosine of two matrices, 0 where one vanishes, with a derivative of few operations.

    With ``a``, ``b`` the matrices, centred or not, divided by their largest entries,
    ``c = <a, b> / (|a| |b|)`` and ``dc = (b / |b| - c a / |a|) / |a|``, which is centred already:
    centring is an orthogonal projection.
    """

    @staticmethod
    def forward(ctx: Any, kernel: Tensor, other: Tensor, centred: _Centring | None) -> Tensor:
        parts = _unit_matrices(kernel, other, centred)
        ctx.centred = centred
        ctx.save_for_backward(kernel, other, *parts)
        return parts[0]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        kernel, other, *parts = ctx.saved_tensors
        if torch.is_grad_enabled():  # this derivative is to be differentiated, too
            parts = _unit_matrices(kernel, other, ctx.centred)
        cosine, a, b, norm, other_norm = parts
        mine, theirs = ctx.needs_input_grad[:2]
        first = (b - cosine * a) * (gradient / norm) if mine else None
        second = (a - cosine * b) * (gradient / other_norm) if theirs else None
        return first, second, None


def _unit_matrices(kernel: Tensor, other: Tensor, centred: _Centring | None) -> tuple[Tensor, ...]:
    """The cosine of two matrices, the matrices divided by their norms, these norms."""
    scale, other_scale = _largest(kernel), _largest(other)
    a, b = kernel / scale, other / other_scale
    if centred:
        a, b = centred(a), centred(b)
    norm, other_norm = _length(a), _length(b)
    a, b = a / norm, b / other_norm
    return (a * b).sum(), a, b, norm * scale, other_norm * other_scale


def _length(matrix: Tensor) -> Tensor:
    """The Frobenius norm; infinite where it is rounding alone, so that what it divides is zero."""
    norm = torch.linalg.norm(matrix)
    return torch.where(norm > _noise(matrix), norm, torch.inf)


def _noise(kernel: Tensor) -> float:
    """The norm that rounding alone leaves of a centred constant kernel whose entries are one."""
    return 4 * torch.finfo(kernel.dtype).eps * kernel.shape[0]


def _largest(kernel: Tensor) -> Tensor:
    """The largest magnitude, as a constant: dividing by it keeps squares within range."""
    return kernel.detach().abs().amax().clamp_min(torch.finfo(kernel.dtype).tiny)


def _require_equal_squares(kernel: Tensor, other: Tensor) -> None:
    """Refuse anything but two square matrices of one size that hold floating point numbers.

    Raises:
        TangentError: they are something else.
    """
    for matrix in (kernel, other):
        if not isinstance(matrix, Tensor):
            raise TangentError(
                f"a kernel is of type {type(matrix).__name__}; give a torch.Tensor (n, n)"
            )
    square = kernel.ndim == 2 and kernel.shape[0] == kernel.shape[1] > 0
    if not square or kernel.shape != other.shape:
        raise TangentError(
            f"the kernels have shapes {tuple(kernel.shape)} and {tuple(other.shape)}; "
            "an alignment needs two (n, n) kernels of the same n samples, at least one"
        )
    for matrix in (kernel, other):
        if not matrix.is_floating_point():
            raise TangentError(
                f"a kernel is of {matrix.dtype}; an alignment needs floating point numbers: "
                "call .float() on it"
            )
