"""How alike two kernel matrices are, whatever the sizes of the networks behind them."""

from __future__ import annotations

import torch
from torch import Tensor

from hybridonn.tangent.errors import TangentError


def centre(kernel: Tensor) -> Tensor:
    """Remove the mean of the features behind a kernel: ``H K H`` with ``H = I - 11'/n``.

    Args:
        kernel: symmetric kernel (n, n).

    Returns:
        The doubly centred kernel (n, n); its rows and columns sum to zero.
        Cortes, Mohri, Rostamizadeh, JMLR 13 (2012).
    """
    return (
        kernel
        - kernel.mean(0, keepdim=True)
        - kernel.mean(1, keepdim=True)
        + kernel.mean()  # both means above took the grand mean away
    )


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
    _same_square(kernel, other)
    scale, other_scale = _largest(kernel), _largest(other)
    return _cosine(centre(kernel / scale), centre(other / other_scale), _noise(kernel))


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
    _same_square(kernel, other)
    return _cosine(kernel / _largest(kernel), other / _largest(other), _noise(kernel))


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
    _same_square(kernel, other)
    return (kernel - other).square().mean()


def _cosine(a: Tensor, b: Tensor, noise: float) -> Tensor:
    """The cosine of two matrices whose largest entries are about one; 0 where one vanishes."""
    norm, other_norm = torch.linalg.norm(a), torch.linalg.norm(b)
    present = (norm > noise) & (other_norm > noise)
    safe = torch.where(present, norm * other_norm, torch.ones_like(norm))
    return torch.where(present, (a * b).sum() / safe, torch.zeros_like(norm))


def _noise(kernel: Tensor) -> float:
    """The norm that rounding alone leaves of a centred constant kernel whose entries are one."""
    return 4 * torch.finfo(kernel.dtype).eps * kernel.shape[0]


def _largest(kernel: Tensor) -> Tensor:
    """The largest magnitude, as a constant: dividing by it keeps squares within range."""
    return kernel.detach().abs().amax().clamp_min(torch.finfo(kernel.dtype).tiny)


def _same_square(kernel: Tensor, other: Tensor) -> None:
    """Refuse anything but two square matrices of one size.

    Raises:
        TangentError: they are something else.
    """
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1] or kernel.shape != other.shape:
        raise TangentError(
            f"the kernels have shapes {tuple(kernel.shape)} and {tuple(other.shape)}; "
            "an alignment needs two (n, n) kernels of the same n samples"
        )
