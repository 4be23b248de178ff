"""From pieces to kernels: which sums first, and how much at a time.

A product's kernel ``sum_c <M_ic, M_jc>`` has two forms:

- Gram: form ``M_ic = L_ic R_i^T`` for some rows o at a time, then one matrix product over
  (c, o, k). Cost ``n C B o k T + n^2 C B o k``.
- pairs: ``sum_tt' (R_it . R_jt') (L_ict . L_jct')``. Cost ``n^2 T^2 B (k + C o)``; for a
  dense layer (T = 1) this is ``(A A^T) o (G G^T)``, the cheapest there is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from hybridonn.tangent.compiled import gram
from hybridonn.tangent.pieces import Made, Piece, Product, Size, Vector, full

# One elementwise multiply-and-sum moves its operands through memory; a matrix product reuses
# them. Measured on CPU cores with AVX-512: about 20 multiply-adds of a product cost as much.
_ELEMENTWISE = 20
# Numbers of a portion of gradients: each portion reads its layer's input again, so that it is
# neither small nor of a few rows only, and a larger one leaves the caches.
_MADE_NUMBERS, _LEAST_ROWS = 4e6, 4
# Up to so many samples half a matrix product beats torch's whole one: 1.6 times for 64, 1.3 for
# 128, 1.2 for 256.
_FEW = 256


def kernel_of(
    pieces: Sequence[Piece],
    others: Sequence[Piece] | None,
    *,
    per_output: bool = False,
    budget: float = float("inf"),
) -> Tensor | None:
    """The tangent kernel of some pieces.

    Args:
        pieces: pieces of n1 samples.
        others: the same pieces, in the same order, of n2 samples; None means ``pieces``.
        per_output: keep the outputs, (n1, n2, C, C), rather than contract them, (n1, n2).
        budget: bytes that temporaries may take.

    Returns:
        The kernel, or None where there is no piece.
    """
    kernel = None
    for index, piece in enumerate(pieces):
        other = None if others is None else others[index]
        term = _piece_kernel(piece, other, per_output, budget)
        kernel = term if kernel is None else kernel + term
    return kernel


def _piece_kernel(a: Piece, b: Piece | None, per_output: bool, budget: float) -> Tensor:
    """The kernel of one piece."""
    assert b is None or type(b) is type(a)
    if isinstance(a, Vector):
        return _inner(full(a.values), full((b if isinstance(b, Vector) else a).values), per_output)
    if isinstance(a, Made):
        return _made(a, b if isinstance(b, Made) else None, budget)
    other = b if isinstance(b, Product) else None
    sizes = a.size(), (a if other is None else other).size()
    if prefers_pairs(*sizes, per_output=per_output):
        return _pairs(a, other, sizes, per_output, budget)
    return _gram(a, other, sizes, per_output, budget)


def _made(a: Made, b: Made | None, budget: float) -> Tensor:
    """The kernel of gradients that are made for some rows at a time."""
    numbers = a.numbers + (b.numbers if b else 0)
    size = min(max(_MADE_NUMBERS / numbers, _LEAST_ROWS), budget / 16 / numbers)
    terms = []
    for part in chunks(a.rows, size):
        mine = a.make(part).flatten(1)
        if b is None and len(mine) <= _FEW:
            terms.append(gram(mine))
        else:
            terms.append(_products(mine, b.make(part).flatten(1) if b else None))
    return reduce(torch.add, terms)


def prefers_pairs(a: Size, b: Size, *, per_output: bool) -> bool:
    """Whether summing over pairs of positions is cheaper than forming the gradients."""
    outputs = a.C * b.C if per_output else a.C
    pairs = a.n * b.n * a.T * b.T * a.B * (a.k + outputs * (a.o + _ELEMENTWISE))
    gram = a.B * a.o * a.k * (a.n * a.C * a.T + b.n * b.C * b.T + a.n * b.n * outputs)
    return pairs <= gram


def _inner(a: Tensor, b: Tensor, per_output: bool) -> Tensor:
    """Inner products of gradients (n1, ..., C, p) and (n2, ..., C, p)."""
    if not per_output:
        return _products(a.flatten(1), b.flatten(1) if b is not a else None)
    a, b = (gradients.movedim(-2, 1).flatten(2) for gradients in (a, b))
    n1, C1, n2, C2 = *a.shape[:2], *b.shape[:2]
    return (a.flatten(0, 1) @ b.flatten(0, 1).T).view(n1, C1, n2, C2).transpose(1, 2)


def _products(a: Tensor, b: Tensor | None) -> Tensor:
    """``a b^T`` of rows (..., n, p); None means ``a``."""
    return _Gram.apply(a) if b is None else a @ b.mT


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


def _gram(
    a: Product, b: Product | None, sizes: tuple[Size, Size], per_output: bool, budget: float
) -> Tensor:
    """The kernel by forming the gradients, some rows o at a time."""
    first, second = sizes
    samples = first.n if b is None else first.n + second.n
    row = samples * max(first.C, second.C) * first.B * (first.k + 1) * _itemsize(a)
    terms = []
    for part in chunks(first.o, budget / 3 / row):
        mine = _gradients(a, first, part, budget / 3)
        other = mine if b is None else _gradients(b, second, part, budget / 3)
        terms += [_inner(x, y, per_output) for x, y in zip(mine, other, strict=True)]
    return reduce(torch.add, terms)


def _gradients(product: Product, size: Size, part: slice, budget: float) -> list[Tensor]:
    """The gradients ``M_ic = L_ic R_i^T`` of some rows, (n, B, C, p), and those of a bias."""
    rows = part.stop - part.start
    sample = size.B * size.T * (size.k + 2 * size.C * rows) * _itemsize(product)
    blocks = [_block(product, block, part) for block in chunks(size.n, budget / sample)]
    return blocks[0] if len(blocks) == 1 else [torch.cat(b) for b in zip(*blocks, strict=True)]


def _block(product: Product, rows: slice, part: slice) -> list[Tensor]:
    """The gradients (n, B, C, p) of some samples, of the weight and of a bias."""
    left, right = product.lefts(rows, part), product.rights(rows)
    n, C, B, o, T = left.shape
    left = left.transpose(1, 2).reshape(n, B, C * o, T)
    found = [(left @ right.mT).view(n, B, C, -1)]
    if product.sums_left:
        found.append(left.sum(-1).view(n, B, C, o))
    return found


def _pairs(
    a: Product, b: Product | None, sizes: tuple[Size, Size], per_output: bool, budget: float
) -> Tensor:
    """The kernel by pairs of positions, some samples at a time."""
    first, second = sizes
    outputs = first.C * second.C if per_output else 1
    row = second.n * first.T * second.T * first.B * (1 + 2 * outputs) * _itemsize(a)
    right = (b or a).rights()
    left = (b or a).lefts()
    blocks = []
    for rows in chunks(first.n, budget / 2 / row):
        whole = b is None and rows == slice(0, first.n)
        mine = (left, right) if whole else (a.lefts(rows), a.rights(rows))
        blocks.append(_pair_block(mine, None if whole else (left, right), per_output, a.sums_left))
    return blocks[0] if len(blocks) == 1 else torch.cat(blocks)


def _pair_block(
    a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor] | None, per_output: bool, bias: bool
) -> Tensor:
    """The kernel of some samples from left (n, C, B, o, T) and right (n, B, k, T) factors."""
    other = a if b is None else b
    n1, C1, B, _, T1 = a[0].shape
    n2, C2, _, _, T2 = other[0].shape
    inputs = _products(_positions(a[1]), b and _positions(b[1]))  # (B, n1 T1, n2 T2)
    if bias:
        inputs = inputs + 1  # the input of a bias is one at every position
    if per_output:
        la, lb = (side.permute(2, 0, 4, 1, 3).flatten(1, 3) for side in (a[0], other[0]))
        outputs = (la @ lb.mT).view(B, n1, T1, C1, n2, T2, C2)
        pairs = inputs.view(B, n1, T1, n2, T2)
        return torch.einsum("bisjt,biscjtd->ijcd", pairs, outputs)
    product = inputs * _products(_outputs(a[0]), b and _outputs(b[0]))
    if B == T1 == T2 == 1:
        return product[0]
    return product.view(B, n1, T1, n2, T2).sum((0, 2, 4))


def _positions(right: Tensor) -> Tensor:
    """(n, B, k, T) to (B, n T, k)."""
    return right.permute(1, 0, 3, 2).flatten(1, 2)


def _outputs(left: Tensor) -> Tensor:
    """(n, C, B, o, T) to (B, n T, C o)."""
    return left.permute(2, 0, 4, 1, 3).flatten(3).flatten(1, 2)


def identity_kernel(product: Product, other: Product | None = None) -> Tensor:
    """The contracted kernel of a layer whose output is the network's output.

    Every output is one row of one block at one position, so that
    ``Theta_ij = o sum_bt R_ibt . R_jbt + (number of outputs) 1_bias``; the gradients of the
    calls are not looked at. For a dense layer: ``C (h h^T + 1_bias)``.

    Args:
        product: the pieces of n1 samples; its one call needs no gradients.
        other: those of n2 samples; None means ``product``.

    Returns:
        The kernel (n1, n2).
    """
    _, _, B, o, T = product.left(product.calls[0].gradients[:1].detach()).shape
    mine = product.rights().flatten(1)
    kernel = o * _products(mine, other and other.rights().flatten(1))
    return kernel + B * o * T if product.sums_left else kernel


def chunks(total: int, size: float) -> Iterator[slice]:
    """Slices of at most ``size`` (at least one) that cover ``range(total)`` evenly."""
    count = 1 if size >= total else -(-total // max(int(size), 1))
    edges = [round(total * index / count) for index in range(count + 1)]
    for start, stop in pairwise(edges):
        yield slice(start, stop)


def _itemsize(product: Product) -> int:
    """The bytes of one number of the factors."""
    return max(product.calls[0].gradients.element_size(), 4)
