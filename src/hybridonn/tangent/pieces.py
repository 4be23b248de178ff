"""The pieces that per-sample parameter gradients are made of.

For sample i and output c, the gradient of a layer's weight is a matrix product
``M_ic = L_ic R_i^T`` summed over the positions t of the layer's output (`Product`), a short
vector that is simply held (`Vector`), or what compiled code makes in portions (`Made`). Kernels
follow from the factors; a Jacobian of samples x outputs x parameters is never needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Call:
    """One execution of a layer.

    Attributes:
        inputs: what the layer was given (n, ...).
        gradients: d output_c / d layer output, (n, C, ...).
        memo: where the right factor is kept between backward passes; None: made anew.
    """

    inputs: Tensor
    gradients: Tensor
    memo: dict[str, Tensor] | None = None


@dataclass(frozen=True)
class Size:
    """The sizes of a product: samples, outputs, blocks, rows, columns, positions."""

    n: int
    C: int
    B: int
    o: int
    k: int
    T: int


@dataclass(frozen=True)
class Product:
    """Weight gradients ``M_ic = sum_t L_ict R_it^T``, in blocks (groups of a convolution).

    Attributes:
        calls: the executions of the layer; the gradients of several add up.
        left: maps a call to (n, C, B, o, T), linear in its gradients.
        right: maps a call to (n, B, k, T), a function of its inputs alone.
        weight: the name of the weight.
        bias: the name of a bias whose gradient is ``sum_t L_ict``, or None.
        restore: maps (B, o, k) to the weight's shape.
        own_row: whether the last row of the right factor is that of the bias, which then is
            not ``sum_t L_ict``.
        direct: whether ``left`` only renames axes, so that each output of the layer is one
            row of one block at one position.
    """

    calls: tuple[Call, ...]
    left: Callable[[Tensor], Tensor]
    right: Callable[[Tensor], Tensor]
    weight: str
    bias: str | None
    restore: Callable[[Tensor], Tensor]
    direct: bool = True
    own_row: bool = False

    @property
    def sums_left(self) -> bool:
        """Whether the sums of the left factors are gradients of a bias."""
        return self.bias is not None and not self.own_row

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters whose gradients these are."""
        return (self.weight,) if self.bias is None else (self.weight, self.bias)

    def lefts(self, rows: slice = slice(None), part: slice = slice(None)) -> Tensor:
        """Left factors (n, C, B, o, T) of some samples and some of the o rows."""
        found = [full(self.left(_some(call.gradients, rows))[:, :, :, part]) for call in self.calls]
        return found[0] if len(found) == 1 else torch.cat(found, -1)

    def rights(self, rows: slice = slice(None)) -> Tensor:
        """Right factors (n, B, k, T) of some samples."""
        found = [self._right(call, rows) for call in self.calls]
        return found[0] if len(found) == 1 else torch.cat(found, -1)

    def _right(self, call: Call, rows: slice) -> Tensor:
        """The right factor of one call, kept where there is a memo."""
        if call.memo is None:
            return full(self.right(_some(call.inputs, rows)))
        if "right" not in call.memo:
            call.memo["right"] = full(self.right(call.inputs))
        return _some(call.memo["right"], rows)

    def size(self) -> Size:
        """The sizes, read off one sample."""
        one = slice(0, 1)
        with torch.no_grad():
            _, C, B, o, T = self.lefts(one).shape
        k = self._right(self.calls[0], one).shape[2]  # with its graph: it may be kept
        return Size(self.calls[0].gradients.shape[0], C, B, o, k, T)

    def total(self, weights: Tensor) -> dict[str, Tensor]:
        """The parameter gradients of ``sum_ic weights_ic f_ic``, weights (n, C)."""
        calls = tuple(
            replace(c, gradients=torch.einsum("ic,ic...->i...", weights, c.gradients)[:, None])
            for c in self.calls
        )
        one = replace(self, calls=calls)
        left = one.lefts()[:, 0]
        matrix = torch.einsum("ibot,ibkt->bok", left, one.rights())
        if self.bias is None:
            return {self.weight: self.restore(matrix)}
        if self.own_row:
            shift, matrix = matrix[..., -1], matrix[..., :-1]
        else:
            shift = left.sum((0, -1))
        return {self.weight: self.restore(matrix), self.bias: shift.flatten()}


@dataclass(frozen=True)
class Vector:
    """Gradients of one small parameter, held as they are.

    Attributes:
        parameter: the parameter's name.
        values: its gradients, flattened, (n, C, p).
    """

    parameter: str
    values: Tensor

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters whose gradients these are."""
        return (self.parameter,)

    def total(self, weights: Tensor) -> dict[str, Tensor]:
        """The parameter gradient of ``sum_ic weights_ic f_ic``, weights (n, C), flattened."""
        return {self.parameter: torch.einsum("ic,icp->p", weights, self.values)}


@dataclass(frozen=True)
class Made:
    """Gradients of a layer's weight and bias that are made for some rows of the weight at a time.

    Attributes:
        weight: the name of the weight.
        bias: the name of the bias, or None.
        make: maps a slice of the rows to gradients (n, o, C, k): numbers of a row of the weight,
            then the bias's, then zeros.
        rows: how many rows there are.
        numbers: how many numbers are made for one.
        width: numbers of a row of the weight.
        restore: maps (rows, width) to the weight's shape.
    """

    weight: str
    bias: str | None
    make: Callable[[slice], Tensor]
    rows: int
    numbers: int
    width: int
    restore: Callable[[Tensor], Tensor]

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters whose gradients these are."""
        return (self.weight,) if self.bias is None else (self.weight, self.bias)

    def total(self, weights: Tensor) -> dict[str, Tensor]:
        """The parameter gradients of ``sum_ic weights_ic f_ic``, weights (n, C)."""
        matrix = torch.einsum("ic,iock->ok", weights, self.make(slice(0, self.rows)))
        found = {self.weight: self.restore(matrix[:, : self.width])}
        return found if self.bias is None else found | {self.bias: matrix[:, self.width]}


Piece = Product | Vector | Made


def full(tensor: Tensor) -> Tensor:
    """The tensor in at least single precision: a kernel of half precision sums has no digits."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _some(tensor: Tensor, rows: slice) -> Tensor:
    """Some rows; all of them as they are: the derivative of ``tensor[:]`` would be a copy."""
    return tensor if rows == slice(None) else tensor[rows]
