"""Gradients of a parameter from the operations that use it, whatever module they belong to.

Two kinds of operations cover most layers. A *product* ``y = a W`` of rows a has
``df/dW = sum_t a_t^T g_t``; an *elementwise* operation, whose result has the shape of the parameter
broadcast, has ``df/dW = sum_t g_t s_t`` with what it multiplies the parameter by, s. The rows of a
product and the axes of an elementwise operation hold the samples at any place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from hybridonn.tangent.empirical.gradient_factors import (
    ExplicitGradient,
    FactoredGradient,
    LayerCall,
    ParameterGradient,
)
from hybridonn.tangent.empirical.graph import argument_shape
from hybridonn.tangent.empirical.parameter_views import ParameterUse
from hybridonn.tangent.empirical.precision import at_least_single
from hybridonn.tangent.empirical.torch_internals import result_shape, saved, signed


@dataclass(frozen=True)
class Product:
    """A product of rows (B, R, k) with matrices (B, k, o) that are made of the parameter's numbers.

    Attributes:
        index: the indices of the parameter's numbers (B, o, k).
        inputs: what the rows are made of.
        rows: maps the inputs to the rows (B, R, k) or, of an embedding, to the numbers (1, R).
        arrange: maps cotangents (C, ...) of the result to (C, B, R, o).
        axes: the axes of the result that count the rows.
        right: maps rows by sample (n, B, k or 1, T) to right factors (n, B, k, T).
    """

    index: Tensor
    inputs: Tensor
    rows: Callable[[Tensor], Tensor]
    arrange: Callable[[Tensor], Tensor]
    axes: tuple[int, ...]
    right: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Elementwise:
    """An operation of a parameter that is broadcast to the shape of the result.

    Attributes:
        index: the indices of the parameter's numbers, an axis for each of the result's.
        inputs: what the factor is computed from.
        factor: maps the inputs to what the parameter is multiplied with.
        axes: the axes of the result that the parameter does not have.
        part: an axis, and the first and number of its places that the parameter has; None: all.
    """

    index: Tensor
    inputs: Tensor
    factor: Callable[[Tensor], Tensor | float]
    axes: tuple[int, ...]
    part: tuple[int, int, int] | None = None


Operand = Product | Elementwise


def read_operand(use: ParameterUse, like: Tensor) -> Operand | None:
    """How a parameter's gradient follows from an operation that uses it.

    Args:
        use: the operation.
        like: a tensor of the parameter's device.

    Returns:
        That, or None where the operation is not known.
    """
    reader = _READERS.get((use.node.name(), use.position))
    return reader(use, like) if reader else None


def _unchanged(tensor: Tensor) -> Tensor:
    return tensor


def _as_block(rows: Tensor) -> Tensor:
    """(R, k) as (1, R, k)."""
    return rows[None]


def _as_second(cotangents: Tensor) -> Tensor:
    """(C, R, o) as (C, 1, R, o)."""
    return cotangents.unsqueeze(1)


def _transposed_block(rows: Tensor) -> Tensor:
    """(k, R) as (1, R, k)."""
    return rows.mT[None]


def _product(use: ParameterUse, inputs: str, index: Tensor) -> Product:
    """Rows times the parameter: ``y = a W``."""
    block = index.mT if index.ndim == 3 else index.mT[None]
    whole = index.ndim == 3
    rows, arrange = (_unchanged, _unchanged) if whole else (_as_block, _as_second)
    return Product(block, saved(use.node, inputs), rows, arrange, (index.ndim - 2,), _unchanged)


def _mat2(use: ParameterUse, like: Tensor, inputs: str) -> Operand | None:
    scaled = use.node.name() in ("AddmmBackward0", "BaddbmmBackward0")
    if scaled and saved(use.node, "alpha") != 1:
        return None
    return _product(use, inputs, use.index)


def _mat1(use: ParameterUse, like: Tensor, inputs: str) -> Operand | None:
    """The parameter times columns: ``y = W a``."""
    if use.node.name() == "AddmmBackward0" and saved(use.node, "alpha") != 1:
        return None
    columns = use.index.ndim - 1
    if use.index.ndim == 3:
        rows = arrange = partial(torch.transpose, dim0=-1, dim1=-2)
        return Product(use.index, saved(use.node, inputs), rows, arrange, (columns,), _unchanged)
    arrange = lambda g: g.mT.unsqueeze(1)  # noqa: E731
    operand = saved(use.node, inputs)
    return Product(use.index[None], operand, _transposed_block, arrange, (columns,), _unchanged)


def _embedding(use: ParameterUse, like: Tensor) -> Operand | None:
    """A row of the parameter for each number: a product of unit vectors with it."""
    if saved(use.node, "scale_grad_by_freq"):
        return None
    numbers, count = saved(use.node, "indices"), use.index.shape[0]
    padding = signed([saved(use.node, "padding_idx")])[0]
    right = partial(_unit_vectors, count=count, padding=padding, dtype=like.dtype)
    arrange = partial(_flatten_rows, axes=numbers.ndim)
    return Product(
        use.index.mT[None],
        numbers,
        lambda ids: ids.reshape(1, -1, 1),
        arrange,
        tuple(range(numbers.ndim)),
        right,
    )


def _embedding_bag(use: ParameterUse, like: Tensor) -> Operand | None:
    """A sum of rows of the parameter for each bag: a product of their weights with it.

    The largest of the rows, number by number, is no such product.
    """
    mode = saved(use.node, "mode")
    if saved(use.node, "scale_grad_by_freq") or mode not in (0, 1):
        return None
    numbers, weights = saved(use.node, "indices"), saved(use.node, "per_sample_weights")
    bags, count = result_shape(use.node)[0], use.index.shape[0]
    starts = saved(use.node, "offsets")[:bags]  # the last of all may be the end
    order = torch.arange(len(numbers), device=numbers.device, dtype=starts.dtype)
    bag = torch.searchsorted(starts, order, right=True) - 1
    kept = (numbers != signed([saved(use.node, "padding_idx")])[0]).to(like)
    weights = kept if weights is None else kept * weights
    if mode == 1:
        weights = weights / kept.new_zeros(bags).index_add(0, bag, kept)[bag].clamp(min=1)
    places = bag * count + numbers
    rows = weights.new_zeros(bags * count).index_add(0, places, weights).view(bags, count)
    index = use.index.mT[None]
    return Product(index, rows, _as_block, _as_second, (0,), _unchanged)


def _flatten_rows(cotangents: Tensor, axes: int) -> Tensor:
    """Cotangents (C, ..., o) to (C, 1, R, o)."""
    return cotangents.flatten(1, axes).unsqueeze(1)


def _unit_vectors(numbers: Tensor, count: int, padding: int, dtype: torch.dtype) -> Tensor:
    """Numbers (n, 1, 1, T) as unit vectors (n, 1, count, T); zero for the padding."""
    found = F.one_hot(numbers[:, :, 0], count).mT.to(dtype)
    if padding >= 0:
        found[:, :, padding] = 0
    return found


def _elementwise(
    use: ParameterUse,
    like: Tensor,
    factor: Callable[[Tensor], Tensor | float],
    inputs: Tensor | None = None,
    index: Tensor | None = None,
) -> Elementwise:
    """A parameter that is broadcast to the shape of the result."""
    shape, index = result_shape(use.node), use.index if index is None else index
    index = index.reshape(*[1] * (len(shape) - index.ndim), *index.shape)
    free = tuple(i for i, size in enumerate(index.shape) if size == 1)
    return Elementwise(index, like.new_ones(1) if inputs is None else inputs, factor, free)


def _shift(use: ParameterUse, like: Tensor, scale: str = "", sign: int = 1) -> Operand:
    """The parameter is added, once or ``scale`` times."""
    factor = sign * (saved(use.node, scale) if scale else 1)
    return _elementwise(use, like, lambda _: factor)


def _scale(use: ParameterUse, like: Tensor, other: str) -> Operand:
    return _elementwise(use, like, _unchanged, saved(use.node, other))


def _quotient(use: ParameterUse, like: Tensor) -> Operand:
    return _elementwise(use, like, torch.reciprocal, saved(use.node, "other"))


def _spread(use: ParameterUse, like: Tensor) -> Operand | None:
    """The parameter is repeated along axes where it has one number."""
    shape = result_shape(use.node)
    lead = [1] * (len(shape) - use.index.ndim)
    sizes = zip((*lead, *use.index.shape), shape, strict=True)
    fits = all(mine in (1, size) for mine, size in sizes)
    return _elementwise(use, like, lambda _: 1) if fits else None


def _concatenation(use: ParameterUse, like: Tensor) -> Operand | None:
    """The parameter is a part of the result along an axis."""
    axis = signed([saved(use.node, "dim")])[0] % use.index.ndim
    before = [argument_shape(use.node, position) for position in range(use.position)]
    if not all(before):  # the shape of a constant is not known
        return None
    whole = _elementwise(use, like, lambda _: 1)
    part = axis, sum(shape[axis] for shape in before), use.index.shape[axis]
    return replace(whole, axes=tuple(a for a in whole.axes if a != axis), part=part)


def _layer_norm_scale(use: ParameterUse, like: Tensor) -> Operand:
    axes = list(saved(use.node, "normalized_shape"))
    return _elementwise(use, like, lambda a: F.layer_norm(a, axes), saved(use.node, "input"))


def _prelu(use: ParameterUse, like: Tensor) -> Operand:
    return _elementwise(use, like, partial(torch.clamp, max=0), saved(use.node, "self"))


_READERS: dict[tuple[str, int], Callable[[ParameterUse, Tensor], Operand | None]] = {
    ("MmBackward0", 0): partial(_mat1, inputs="mat2"),
    ("MmBackward0", 1): partial(_mat2, inputs="self"),
    ("AddmmBackward0", 0): partial(_shift, scale="beta"),
    ("AddmmBackward0", 1): partial(_mat1, inputs="mat2"),
    ("AddmmBackward0", 2): partial(_mat2, inputs="mat1"),
    ("BmmBackward0", 0): partial(_mat1, inputs="mat2"),
    ("BmmBackward0", 1): partial(_mat2, inputs="self"),
    ("BaddbmmBackward0", 0): partial(_shift, scale="beta"),
    ("BaddbmmBackward0", 2): partial(_mat2, inputs="batch1"),
    ("EmbeddingBackward0", 0): _embedding,
    ("EmbeddingBagBackward0", 0): _embedding_bag,
    ("AddBackward0", 0): _shift,
    ("AddBackward0", 1): partial(_shift, scale="alpha"),
    ("SubBackward0", 0): _shift,
    ("SubBackward0", 1): partial(_shift, scale="alpha", sign=-1),
    ("MulBackward0", 0): partial(_scale, other="other"),
    ("MulBackward0", 1): partial(_scale, other="self"),
    ("DivBackward0", 0): _quotient,
    ("ExpandBackward0", 0): _spread,
    ("RepeatBackward0", 0): _spread,
    **{("CatBackward0", position): _concatenation for position in range(16)},
    ("NativeLayerNormBackward0", 1): _layer_norm_scale,
    ("NativeLayerNormBackward0", 2): _shift,
    ("PreluKernelBackward0", 1): _prelu,
}


@dataclass(frozen=True)
class Place:
    """Where the samples lie in the result of an operation: within one axis, as (before, n, after).

    Attributes:
        axis: the axis.
        before: how many blocks of samples that axis holds.
    """

    axis: int
    before: int


def product_call(operand: Product, call: LayerCall, place: Place, n: int) -> LayerCall:
    """Rows (n, B, k, T) and cotangents (n, C, B, o, T) of a product, by sample."""
    g = operand.arrange(call.cotangents.transpose(0, 1))
    shape = g.shape
    before = place.before
    for axis in operand.axes:
        if axis < place.axis:
            before *= call.cotangents.transpose(0, 1).shape[1 + axis]
    g = g.reshape(*shape[:2], before, n, -1, shape[3])  # (C, B, p, n, q, o)
    g = g.permute(3, 0, 1, 5, 2, 4).flatten(4)
    rows = operand.rows(call.inputs)
    rows = rows.reshape(rows.shape[0], before, n, -1, rows.shape[-1])  # (B, p, n, q, k)
    rows = rows.permute(2, 0, 4, 1, 3).flatten(3)
    return LayerCall(rows, g)


def product_gradient(
    name: str, operands: Sequence[Product], calls: Sequence[LayerCall], shape: torch.Size
) -> FactoredGradient:
    """The gradient of a parameter that several products use in the same way."""
    first = operands[0]
    restore = partial(_put_back, index=first.index, shape=shape)
    return FactoredGradient(tuple(calls), _unchanged, first.right, name, None, restore, False)


def _put_back(matrix: Tensor, index: Tensor, shape: torch.Size) -> Tensor:
    """Numbers (B, o, k) at their places in the parameter; zeros elsewhere."""
    zeros = matrix.new_zeros(shape.numel())
    return zeros.index_add(0, index.flatten(), matrix.flatten()).view(shape)


def explicit_values(
    operand: Elementwise, call: LayerCall, place: Place, n: int, size: int
) -> Tensor:
    """The gradient (n, C, p) of a parameter of p numbers by an elementwise operation."""
    g = call.cotangents.transpose(0, 1)
    g = g if operand.part is None else g.narrow(1 + operand.part[0], *operand.part[1:])
    factor = operand.factor(call.inputs)
    g = at_least_single(g if isinstance(factor, int) and factor == 1 else g * factor)
    over = [1 + a for a in operand.axes if a != place.axis]
    g = g.sum(over, keepdim=True) if over else g
    g = g.unflatten(1 + place.axis, (place.before, n, -1))
    g = g.sum((1 + place.axis, 3 + place.axis)).movedim(1 + place.axis, 0).flatten(2)
    return _at_places(g, operand.index.flatten(), size)


def product_values(gradient: FactoredGradient, index: Tensor, size: int) -> Tensor:
    """The gradient (n, C, p) of a parameter of p numbers by products."""
    found = torch.einsum("icbot,ibkt->icbok", gradient.lefts(), gradient.rights())
    return _at_places(found.flatten(2), index.flatten(), size)


def _at_places(values: Tensor, index: Tensor, size: int) -> Tensor:
    """Values (n, C, m) at the places of the parameter's p numbers, (n, C, p)."""
    if len(index) == size and bool((index == torch.arange(size, device=index.device)).all()):
        return values
    return values.new_zeros(*values.shape[:2], size).index_add(2, index, values)


def same_index(a: Operand, b: Operand) -> bool:
    """Whether two operations use a parameter in the same way."""
    kinds = isinstance(a, Product) and isinstance(b, Product)
    return kinds and a.index.shape == b.index.shape and torch.equal(a.index, b.index)


def parameter_gradients(
    name: str,
    operands: Sequence[Operand],
    places: Sequence[Place],
    calls: Sequence[LayerCall],
    shape: torch.Size,
    n: int,
) -> list[ParameterGradient]:
    """The gradients of a parameter from all operations that use it.

    Products that use the same numbers add up as positions of one; those that use others are
    gradients of their own. Where products meet elementwise operations, or use some of the same
    numbers, the gradient is formed.

    Args:
        name: the parameter's name.
        operands: how the operations use it.
        places: where the samples lie in their results.
        calls: their inputs, and the cotangents (S, C, ...) of their results (S, ...).
        shape: the parameter's shape.
        n: samples.
    """
    groups: list[tuple[Product, list[LayerCall]]] = []
    values: list[Tensor] = []
    for operand, place, call in zip(operands, places, calls, strict=True):
        if isinstance(operand, Elementwise):
            values.append(explicit_values(operand, call, place, n, shape.numel()))
            continue
        arranged = product_call(operand, call, place, n)
        for first, group in groups:
            if same_index(first, operand):
                group.append(arranged)
                break
        else:
            groups.append((operand, [arranged]))
    found = [product_gradient(name, [first], group, shape) for first, group in groups]
    if not values and _disjoint([first for first, _ in groups]):
        return list(found)
    values += [
        product_values(gradient, first.index, shape.numel())
        for gradient, (first, _) in zip(found, groups, strict=True)
    ]
    return [ExplicitGradient(name, sum(values[1:], start=values[0]))]


def _disjoint(operands: Sequence[Product]) -> bool:
    """Whether each number of the parameter is used by one of the products, once."""
    index = torch.cat([operand.index.flatten() for operand in operands])
    return len(operands) == 1 or len(index.unique()) == len(index)
