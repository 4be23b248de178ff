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

from hybridonn.distillation.methods import AUTO

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


@dataclass(frozen=True)
class Discrepancy:
    """One way to compare two tangent kernels.

    Attributes:
        compute: Function of the student's kernel (B, B), the teacher's (B, B) and the ridge.
        least_samples: Smallest B whose kernels can differ; below it the term has no gradient, so
            that nothing is learnt of the teacher's kernel.
    """

    compute: Callable[[Tensor, Tensor, float], Tensor]
    least_samples: int


DISCREPANCIES = {
    # Centred kernels of two samples are alike up to scale, whatever the samples are.
    "cka": Discrepancy(cka, least_samples=3),
    "debiased_cka": Discrepancy(debiased_cka, least_samples=4),
    "ridge_cka": Discrepancy(ridge_cka, least_samples=3),
    "mse": Discrepancy(mean_squared, least_samples=1),
    "cosine": Discrepancy(cosine, least_samples=2),
}
CHOICES = (*DISCREPANCIES, AUTO)


def choose_discrepancy(name: str, contraction: str | None) -> str:
    """The discrepancy that a name stands for; ``auto`` is of the kind of the kernels.

    The cosine of two centred kernels sees little but their few largest eigenvalues, those of the
    classes, which KD tells as well. Between kernels of images `ridge_cka`, which compares every
    direction that can be learnt, is never behind KD by more than chance and ahead where classes are
    hard (docs/results/found_weight.md). Between kernels of pixels `cka` is ahead of KD from few
    labelled images (docs/results/nuclei_and_cells.md).

    Args:
        name: A name of :data:`CHOICES`.
        contraction: What a row of the kernels is, ``pixels`` or else an image.
    """
    if name != AUTO:
        return name
    return "cka" if contraction == "pixels" else "ridge_cka"
