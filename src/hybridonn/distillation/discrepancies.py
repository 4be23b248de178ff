"""How far two tangent kernels are apart: a function each, and the table that the spec reads.

Each function takes the student's kernel (B, B), the teacher's (B, B) and the ridge, and gives a
scalar that is zero where the kernels agree. A new discrepancy is its function and its line in
:data:`DISCREPANCIES`. torch is imported within the functions, so that the spec reads the table
without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def cka(student: Tensor, teacher: Tensor, ridge: float) -> Tensor:
    """One less the centred kernel alignment (Cortes et al. 2012)."""
    from hybridonn.tangent import centred_alignment

    return 1 - centred_alignment(student, teacher)


def debiased_cka(student: Tensor, teacher: Tensor, ridge: float) -> Tensor:
    """One less the centred kernel alignment without the diagonals' bias; it takes 4 images."""
    from hybridonn.tangent import debiased_alignment

    return 1 - debiased_alignment(student, teacher)


def ridge_cka(student: Tensor, teacher: Tensor, ridge: float) -> Tensor:
    """One less the alignment of the kernels' ridge projections."""
    from hybridonn.tangent import ridge_alignment

    return 1 - ridge_alignment(student, teacher, ridge)


def cosine(student: Tensor, teacher: Tensor, ridge: float) -> Tensor:
    """One less the cosine of the angle between the kernels, which are not centred."""
    from hybridonn.tangent import cosine_alignment

    return 1 - cosine_alignment(student, teacher)


def mean_squared(student: Tensor, teacher: Tensor, ridge: float) -> Tensor:
    """The mean squared difference: the paper's example, dominated by the scale of the kernels."""
    from hybridonn.tangent import mse

    return mse(student, teacher)


HANDED_OVER = 0.8  # alignment from which `auto` turns from cka to ridge_cka


def auto(student: Tensor, teacher: Tensor, ridge: float) -> Tensor:
    """The discrepancy cka while the kernels are far apart, ridge_cka as far as they are aligned.

    The cosine of two centred kernels sees little but their few largest eigenvalues, those of the
    classes. Once these agree, only a comparison of all directions has something left to say. With
    the alignment A, which is not differentiated, and ``s = (A - 0.8) / 0.2`` from 0 to 1, it is
    ``(1 - s) cka + s ridge_cka``.
    """
    coarse = cka(student, teacher, ridge)
    share = ((1 - coarse.detach() - HANDED_OVER) / (1 - HANDED_OVER)).clamp(0, 1)
    return (1 - share) * coarse + share * ridge_cka(student, teacher, ridge)


@dataclass(frozen=True)
class Discrepancy:
    """One way to compare two tangent kernels.

    Attributes:
        compute: Function of the student's kernel (B, B), the teacher's (B, B) and the ridge.
        least_images: Smallest B for which it is defined.
    """

    compute: Callable[[Tensor, Tensor, float], Tensor]
    least_images: int = 1


DISCREPANCIES = {
    "cka": Discrepancy(cka),
    "debiased_cka": Discrepancy(debiased_cka, least_images=4),
    "ridge_cka": Discrepancy(ridge_cka),
    "mse": Discrepancy(mean_squared),
    "cosine": Discrepancy(cosine),
    "auto": Discrepancy(auto),
}
