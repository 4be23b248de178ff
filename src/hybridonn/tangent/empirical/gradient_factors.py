"""Gradients of a layer's parameters for every sample and output, held as factors.

For sample i and output c, the gradient of a layer's weight is a matrix product
``M_ic = L_ic R_i^T`` summed over the positions t of the layer's output (`FactoredGradient`), a
short vector (`ExplicitGradient`), or computed by compiled code for some rows of the weight at a
time (`RowwiseGradient`). Kernels follow from the factors (`contraction`); the Jacobian of samples
x outputs x parameters is never formed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from hybridonn.tangent.empirical.precision import at_least_single

# Numbers of a portion of rowwise gradients: each portion reads its layer's input again, so that
# it is not small, and a larger one leaves the caches.
PORTION_NUMBERS = 4e6


@dataclass(frozen=True)
class LayerCall:
    """One execution of a layer.

    Attributes:
        inputs: what the layer was given, (n, ...).
        cotangents: d output_c / d layer output, (n, C, ...).
        cache: keeps the right factor between backward passes; None: it is computed anew.
    """

    inputs: Tensor
    cotangents: Tensor
    cache: dict[str, Tensor] | None = None


@dataclass(frozen=True)
class FactorSizes:
    """The sizes of a factored gradient.

    Attributes:
        n: samples.
        C: outputs.
        B: blocks of the weight.
        o: rows of a block.
        k: columns of a block.
        T: positions.
    """

    n: int
    C: int
    B: int
    o: int
    k: int
    T: int


@dataclass(frozen=True)
class FactoredGradient:
    """Weight gradients ``M_ic = sum_t L_ict R_it^T``, in blocks (groups of a convolution).

    Attributes:
        calls: the executions of the layer, whose gradients add up.
        left: maps cotangents (n, C, ...) linearly to left factors (n, C, B, o, T).
        right: maps inputs (n, ...) to right factors (n, B, k, T).
        weight: the name of the weight.
        bias: the name of a bias whose gradient is ``sum_t L_ict``, or None.
        restore: maps (B, o, k) to the weight's shape.
        left_renames: whether ``left`` only renames axes, so that each output of the layer is one
            row of one block at one position.
        bias_in_right: whether the last row of the right factor belongs to the bias, whose
            gradient then is not ``sum_t L_ict``.
    """

    calls: tuple[LayerCall, ...]
    left: Callable[[Tensor], Tensor]
    right: Callable[[Tensor], Tensor]
    weight: str
    bias: str | None
    restore: Callable[[Tensor], Tensor]
    left_renames: bool = True
    bias_in_right: bool = False

    @property
    def sums_left(self) -> bool:
        """Whether the sums of the left factors are gradients of a bias."""
        return self.bias is not None and not self.bias_in_right

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters whose gradients these are."""
        return (self.weight,) if self.bias is None else (self.weight, self.bias)

    def lefts(self, samples: slice = slice(None), rows: slice = slice(None)) -> Tensor:
        """Left factors (n, C, B, o, T) of some samples and some of the o rows."""
        found = [
            at_least_single(self.left(_some(call.cotangents, samples))[:, :, :, rows])
            for call in self.calls
        ]
        return found[0] if len(found) == 1 else torch.cat(found, -1)

    def rights(self, samples: slice = slice(None)) -> Tensor:
        """Right factors (n, B, k, T) of some samples."""
        found = [self._right(call, samples) for call in self.calls]
        return found[0] if len(found) == 1 else torch.cat(found, -1)

    def _right(self, call: LayerCall, samples: slice) -> Tensor:
        """The right factor of one call, from its cache where there is one."""
        if call.cache is None:
            return at_least_single(self.right(_some(call.inputs, samples)))
        if "right" not in call.cache:
            # Whoever asks first may need no graph, but later ones may.
            with torch.set_grad_enabled(call.inputs.requires_grad):
                call.cache["right"] = at_least_single(self.right(call.inputs))
        return _some(call.cache["right"], samples)

    def sizes(self) -> FactorSizes:
        """The sizes, read off one sample."""
        one = slice(0, 1)
        with torch.no_grad():
            _, C, B, o, T = self.lefts(one).shape
        k = self._right(self.calls[0], one).shape[2]  # with its graph: the cache may keep it
        return FactorSizes(self.calls[0].cotangents.shape[0], C, B, o, k, T)

    def weighted_sum(self, weights: Tensor) -> dict[str, Tensor]:
        """The parameter gradients of ``sum_ic weights_ic f_ic``.

        Args:
            weights: (n, C).

        Returns:
            The gradients by the parameters' names.
        """
        calls = tuple(
            replace(c, cotangents=combine_outputs(c.cotangents, weights)[:, None])
            for c in self.calls
        )
        one = replace(self, calls=calls)
        left = one.lefts()[:, 0]
        matrix = torch.einsum("ibot,ibkt->bok", left, one.rights())
        if self.bias is None:
            return {self.weight: self.restore(matrix)}
        if self.bias_in_right:
            shift, matrix = matrix[..., -1], matrix[..., :-1]
        else:
            shift = left.sum((0, -1))
        return {self.weight: self.restore(matrix), self.bias: shift.flatten()}


@dataclass(frozen=True)
class ExplicitGradient:
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

    def weighted_sum(self, weights: Tensor) -> dict[str, Tensor]:
        """The parameter gradient of ``sum_ic weights_ic f_ic``, flattened; weights (n, C)."""
        values = at_least_single(self.values)
        return {self.parameter: torch.einsum("ic,icp->p", weights.to(values), values)}


@dataclass(frozen=True)
class RowwiseGradient:
    """Gradients of a weight and a bias that are computed for some rows of the weight at a time.

    Attributes:
        weight: the name of the weight.
        bias: the name of the bias, or None.
        compute: maps a slice of the rows, and weights (n, C) or None, to gradients (n, o, C, k),
            those of a row of the weight, of the bias, then zeros, and to their weighted sums
            (o, k).
        combine: maps weights (n, C) to the weighted sums (rows, k) alone.
        rows: the number of rows.
        row_numbers: how many numbers are computed for one row.
        width: how many numbers a row of the weight has.
        restore: maps (rows, width) to the weight's shape.
        keep: whether there is memory to keep the gradients of all rows.
        kept: gradients of all rows that were computed with their sums.
    """

    weight: str
    bias: str | None
    compute: Callable[[slice, Tensor | None], tuple[Tensor, Tensor | None]]
    combine: Callable[[Tensor], Tensor]
    rows: int
    row_numbers: int
    width: int
    restore: Callable[[Tensor], Tensor]
    keep: bool = False
    kept: list[Tensor] = field(default_factory=list)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters whose gradients these are."""
        return (self.weight,) if self.bias is None else (self.weight, self.bias)

    def some(self, rows: slice) -> Tensor:
        """The gradients (n, o, C, k) of some rows."""
        if self.kept:
            return self.kept[0][:, rows]
        return self.compute(rows, None)[0]

    def weighted_sum(self, weights: Tensor) -> dict[str, Tensor]:
        """The parameter gradients of ``sum_ic weights_ic f_ic``; weights (n, C).

        Gradients that can be kept are computed with their sums: they will be wanted.
        """
        matrix = None
        if self.keep:
            found, matrix = self.compute(slice(0, self.rows), weights)
            self.kept[:] = [found]
        if matrix is None:
            matrix = self.combine(weights)
        sums = {self.weight: self.restore(matrix[:, : self.width])}
        return sums if self.bias is None else sums | {self.bias: matrix[:, self.width]}


ParameterGradient = FactoredGradient | ExplicitGradient | RowwiseGradient


def join_outputs(portions: Sequence[Sequence[ParameterGradient]]) -> list[ParameterGradient]:
    """The same gradients of several portions of outputs, as gradients of all those outputs."""
    result: list[ParameterGradient] = []
    for parts in zip(*portions, strict=True):
        first = parts[0]
        if isinstance(first, ExplicitGradient):
            values = torch.cat([p.values for p in parts if isinstance(p, ExplicitGradient)], 1)
            result.append(replace(first, values=values))
        elif isinstance(first, FactoredGradient):
            cotangents = [p.calls[0].cotangents for p in parts if isinstance(p, FactoredGradient)]
            call = replace(first.calls[0], cotangents=torch.cat(cotangents, 1))
            result.append(replace(first, calls=(call,)))
    return result


def combine_outputs(cotangents: Tensor, weights: Tensor) -> Tensor:
    """The weighted sums (n, ...) of cotangents (n, C, ...) over their outputs; weights (n, C).

    Without a copy of cotangents that all samples share, or whose outputs lie side by side.
    """
    n, _, *shape = cotangents.shape
    weights = weights.to(cotangents)  # behind a pooling they are in single precision at least
    if cotangents.stride(0) == 0 and n > 1:
        return (weights @ cotangents[0].flatten(1)).view(n, *shape)
    if cotangents.stride(1) > max(cotangents.stride(0), 1) and not cotangents.requires_grad:
        # One output after the other, as they lie in memory.
        scales = weights.view(*weights.shape, *[1] * len(shape)).unbind(1)
        found = cotangents[:, 0] * scales[0]
        for one, scale in zip(cotangents.unbind(1)[1:], scales[1:], strict=True):
            found.addcmul_(one, scale)
        return found
    if cotangents.stride(1) != 1 or cotangents.ndim < 3:
        return torch.einsum("ic,ic...->i...", weights, cotangents)
    # As they lie in memory, which no flattening then has to copy.
    axes = sorted(range(2, cotangents.ndim), key=cotangents.stride, reverse=True)
    found = cotangents.permute(0, *axes, 1).flatten(1, -2) @ weights[..., None]
    found = found.view(n, *(cotangents.shape[axis] for axis in axes))
    return found.movedim(list(range(1, found.ndim)), [axis - 1 for axis in axes])


def _some(tensor: Tensor, rows: slice) -> Tensor:
    """Some rows; all of them as they are: the derivative of ``tensor[:]`` would be a copy."""
    return tensor if rows == slice(None) else tensor[rows]
