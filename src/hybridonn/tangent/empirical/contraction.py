"""From gradients to kernels: which sums come first, and how much is held at a time.

The kernel ``sum_c <M_ic, M_jc>`` of a factored gradient ``M_ic = sum_t L_ict R_it^T`` has two
forms:

- Gram: form M_ic for some rows o at a time, then one matrix product over (c, o, k). It costs
  ``n C B o k T + n^2 C B o k`` multiply-adds.
- pairs: ``sum_tt' (R_it . R_jt') (L_ict . L_jct')``. It costs ``n^2 T^2 B (k + C o)``; for a
  dense layer (T = 1) this is ``(A A^T) o (G G^T)``, the cheapest there is.

`prefers_pairs` compares these counts. Novak, Sohl-Dickstein and Schoenholz, "Fast finite width
neural tangent kernel", ICML 2022, derive such costs for many layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from hybridonn.tangent.empirical.compiled import gram, gram_of_factors, is_available
from hybridonn.tangent.empirical.gradient_factors import (
    PORTION_NUMBERS,
    ExplicitGradient,
    FactoredGradient,
    FactorSizes,
    ParameterGradient,
    RowwiseGradient,
)
from hybridonn.tangent.empirical.portions import chunks
from hybridonn.tangent.empirical.precision import at_least_single

# One elementwise multiply-and-sum moves its operands through memory; a matrix product reuses
# them. Measured on CPU cores with AVX-512: about 20 multiply-adds of a product cost as much.
_ELEMENTWISE = 20
# Rows of a portion of rowwise gradients, each of which reads its layer's input again.
_LEAST_ROWS = 4
# Up to so many samples half a matrix product beats torch's whole one: 1.6 times for 64, 1.3 for
# 128, 1.2 for 256.
_FEW = 256
# Numbers of rows from which on half a matrix product pays.
_LONG = 1024
# Bytes of gradients that are formed at a time, so that the product after it finds them in a cache;
# of layers with so few positions that their factors are read again at no cost, and never less
# than so many rows of all outputs.
_CACHED_BYTES, _FEW_POSITIONS, _LEAST_PRODUCT = 4e6, 64, 64


def contract(
    gradients: Sequence[ParameterGradient],
    others: Sequence[ParameterGradient] | None = None,
    *,
    per_output: bool = False,
    budget: float = float("inf"),
) -> Tensor | None:
    """The tangent kernel of some gradients.

    Args:
        gradients: gradients of n1 samples.
        others: the same gradients, in the same order, of n2 samples; None means ``gradients``.
        per_output: keep the outputs, (n1, n2, C, C), rather than contract them, (n1, n2).
        budget: bytes that temporaries may take.

    Returns:
        The kernel, or None where there is no gradient.

    Raises:
        TypeError: two gradients of the same parameters are not of one kind.
    """
    kernel = None
    for index, gradient in enumerate(gradients):
        match gradient, None if others is None else others[index]:
            case FactoredGradient() as a, (None | FactoredGradient()) as b:
                mine = a.sizes()
                sizes = mine, mine if b is None else b.sizes()
                form = _pairs if prefers_pairs(*sizes, per_output=per_output) else _gram
                term = form(a, b, sizes, per_output, budget)
            case ExplicitGradient() as a, (None | ExplicitGradient()) as b:
                term = _explicit(a, b, per_output)
            case RowwiseGradient() as a, (None | RowwiseGradient()) as b:
                term = _rowwise(a, b, budget)
            case a, b:
                raise TypeError(f"{type(a).__name__} does not contract with {type(b).__name__}")
        kernel = term if kernel is None else kernel + term
    return kernel


def prefers_pairs(a: FactorSizes, b: FactorSizes, *, per_output: bool) -> bool:
    """Whether summing over pairs of positions is cheaper than forming the gradients."""
    outputs = a.C * b.C if per_output else a.C
    pairs = a.n * b.n * a.T * b.T * a.B * (a.k + outputs * (a.o + _ELEMENTWISE))
    forming = a.B * a.o * a.k * (a.n * a.C * a.T + b.n * b.C * b.T + a.n * b.n * outputs)
    return pairs <= forming


def _explicit(a: ExplicitGradient, b: ExplicitGradient | None, per_output: bool) -> Tensor:
    """The kernel of gradients that are held as they are."""
    mine = at_least_single(a.values)
    return _inner(mine, mine if b is None else at_least_single(b.values), per_output)


def _rowwise(a: RowwiseGradient, b: RowwiseGradient | None, budget: float) -> Tensor:
    """The kernel of gradients that are computed for some rows at a time."""
    numbers = a.row_numbers + (b.row_numbers if b else 0)
    size = min(max(PORTION_NUMBERS / numbers, _LEAST_ROWS), budget / 16 / numbers)
    terms = []
    for rows in chunks(a.rows, size):
        mine = a.some(rows).flatten(1)
        terms.append(products(mine, b.some(rows).flatten(1) if b else None))
    return reduce(torch.add, terms)


def _gram(
    a: FactoredGradient,
    b: FactoredGradient | None,
    sizes: tuple[FactorSizes, FactorSizes],
    per_output: bool,
    budget: float,
) -> Tensor:
    """The kernel by forming the gradients, some rows o at a time."""
    first, second = sizes
    if b is None and not per_output and _is_compiled(a, first, budget):
        kernel = gram_of_factors(a.lefts(), a.rights())
        return kernel + products(a.lefts().sum(-1).flatten(1)) if a.sums_left else kernel
    samples = first.n if b is None else first.n + second.n
    row = samples * max(first.C, second.C) * first.B * (first.k + 1) * _itemsize(a)
    terms = []
    count = budget / 3 / row
    if max(first.T, second.T) <= _FEW_POSITIONS:
        count = min(count, max(_CACHED_BYTES / row, _LEAST_PRODUCT / first.C, 1))
    for rows in chunks(first.o, count):
        mine = _form(a, first, rows, budget / 3)
        other = mine if b is None else _form(b, second, rows, budget / 3)
        terms += [_inner(x, y, per_output) for x, y in zip(mine, other, strict=True)]
    return reduce(torch.add, terms)


def _is_compiled(gradient: FactoredGradient, size: FactorSizes, budget: float) -> bool:
    """Whether compiled code takes the factors as they are, and the right ones may all be held."""
    call, *more = gradient.calls
    if more or not 8 <= size.n <= _FEW or size.n * size.B * size.k * size.T > budget / 24:
        return False
    left, right = gradient.lefts(slice(0, 1)), gradient.rights(slice(0, 1))
    kinds = {left.dtype, right.dtype, call.cotangents.dtype}
    differentiated = torch.is_grad_enabled() and (left.requires_grad or right.requires_grad)
    if differentiated or len(kinds) > 1 or not is_available(left):
        return False
    # The left factors of all samples must be the cotangents themselves, not copies of them.
    view = left.untyped_storage().data_ptr() == call.cotangents.untyped_storage().data_ptr()
    return view and left.stride(3) == 1 and right.stride(2) == 1


def _form(
    gradient: FactoredGradient, size: FactorSizes, rows: slice, budget: float
) -> list[Tensor]:
    """The gradients ``M_ic = L_ic R_i^T`` of some rows, (n, B, C, p), and those of a bias."""
    count = rows.stop - rows.start
    sample = size.B * size.T * (size.k + 2 * size.C * count) * _itemsize(gradient)
    blocks = []
    for samples in chunks(size.n, budget / sample):
        left, right = gradient.lefts(samples, rows), gradient.rights(samples)
        n, C, B, o, T = left.shape
        left = left.transpose(1, 2).reshape(n, B, C * o, T)
        block = [(left @ right.mT).view(n, B, C, -1)]
        if gradient.sums_left:
            block.append(left.sum(-1).view(n, B, C, o))
        blocks.append(block)
    return blocks[0] if len(blocks) == 1 else [torch.cat(b) for b in zip(*blocks, strict=True)]


def _pairs(
    a: FactoredGradient,
    b: FactoredGradient | None,
    sizes: tuple[FactorSizes, FactorSizes],
    per_output: bool,
    budget: float,
) -> Tensor:
    """The kernel by pairs of positions, some samples at a time."""
    first, second = sizes
    outputs = first.C * second.C if per_output else 1
    row = second.n * first.T * second.T * first.B * (1 + 2 * outputs) * _itemsize(a)
    right = (b or a).rights()
    left = (b or a).lefts()
    blocks = []
    for samples in chunks(first.n, budget / 2 / row):
        whole = b is None and samples == slice(0, first.n)
        mine = (left, right) if whole else (a.lefts(samples), a.rights(samples))
        blocks.append(_sum_pairs(mine, None if whole else (left, right), per_output, a.sums_left))
    return blocks[0] if len(blocks) == 1 else torch.cat(blocks)


def _sum_pairs(
    a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor] | None, per_output: bool, bias: bool
) -> Tensor:
    """The kernel of some samples from left (n, C, B, o, T) and right (n, B, k, T) factors."""
    other = a if b is None else b
    n1, C1, B, _, T1 = a[0].shape
    n2, C2, _, _, T2 = other[0].shape
    inputs = products(_by_position(a[1]), b and _by_position(b[1]))  # (B, n1 T1, n2 T2)
    if bias:
        inputs = inputs + 1  # the input of a bias is one at every position
    if per_output:
        la, lb = (side.permute(2, 0, 4, 1, 3).flatten(1, 3) for side in (a[0], other[0]))
        outputs = (la @ lb.mT).view(B, n1, T1, C1, n2, T2, C2)
        pairs = inputs.view(B, n1, T1, n2, T2)
        return torch.einsum("bisjt,biscjtd->ijcd", pairs, outputs)
    product = inputs * products(_outputs_by_position(a[0]), b and _outputs_by_position(b[0]))
    if B == T1 == T2 == 1:
        return product[0]
    return product.view(B, n1, T1, n2, T2).sum((0, 2, 4))


def _by_position(right: Tensor) -> Tensor:
    """(n, B, k, T) to (B, n T, k)."""
    return right.permute(1, 0, 3, 2).flatten(1, 2)


def _outputs_by_position(left: Tensor) -> Tensor:
    """(n, C, B, o, T) to (B, n T, C o)."""
    return left.permute(2, 0, 4, 1, 3).flatten(3).flatten(1, 2)


def contract_identity(gradient: FactoredGradient) -> Tensor:
    """The contracted kernel of a layer whose output is the network's output.

    Every output is one row of one block at one position, so that
    ``Theta_ij = o sum_bt R_ibt . R_jbt + (number of outputs) 1_bias``; the cotangents of the
    calls are not used. For a dense layer: ``C (h h^T + 1_bias)``.

    Args:
        gradient: the layer's gradient; its one call needs no cotangents.

    Returns:
        The kernel (n, n).
    """
    _, _, B, o, T = gradient.left(gradient.calls[0].cotangents[:1].detach()).shape
    kernel = o * products(gradient.rights().flatten(1))
    return kernel + B * o * T if gradient.sums_left else kernel


def _inner(a: Tensor, b: Tensor, per_output: bool) -> Tensor:
    """Inner products of gradients (n1, ..., C, p) and (n2, ..., C, p)."""
    if not per_output:
        return products(a.flatten(1), b.flatten(1) if b is not a else None)
    a, b = (gradients.movedim(-2, 1).flatten(2) for gradients in (a, b))
    n1, C1, n2, C2 = *a.shape[:2], *b.shape[:2]
    return (a.flatten(0, 1) @ b.flatten(0, 1).T).view(n1, C1, n2, C2).transpose(1, 2)


def products(a: Tensor, b: Tensor | None = None) -> Tensor:
    """``a b^T`` of rows (..., n, p); None means ``a``."""
    if b is None and _is_half_enough(a):
        return gram(a)
    return _Gram.apply(a) if b is None else a @ b.mT


def _is_half_enough(a: Tensor) -> bool:
    """Whether compiled code, which takes half a matrix product, is faster than torch."""
    if a.requires_grad or a.ndim != 2 or not 8 <= len(a) <= _FEW or a.shape[1] < _LONG:
        return False
    whole = a.shape[1] * a.element_size() % 64 == 0 and a.is_contiguous()
    return whole and is_available(a)


class _Gram(torch.autograd.Function):
    """``K = a a^T`` with ``da = (dK + dK^T) a``: one product where autograd makes two."""

    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        ctx.save_for_backward(a)
        return a @ a.mT

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (a,) = ctx.saved_tensors
        return (gradient + gradient.mT) @ a


def _itemsize(gradient: FactoredGradient) -> int:
    """The bytes of one number of the factors."""
    return max(gradient.calls[0].cotangents.element_size(), 4)
