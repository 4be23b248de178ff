"""Vector-Jacobian products of the operations of transformers, of all outputs at once.

torch's batched backward pass loops over the derivatives of activations and softmaxes, and copies
what the outputs share. Here the combinations of the outputs lead the cotangents of every result,
(C, ...), wherever the samples lie in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod

import torch
from torch import Tensor
from torch.autograd.graph import Node

from hybridonn.tangent.empirical.graph import argument_shape
from hybridonn.tangent.empirical.torch_internals import (
    RESHAPES,
    pass_back,
    result_shape,
    saved,
    signed,
)


@dataclass(frozen=True)
class Part:
    """The cotangent of a part of an argument; it is zero elsewhere.

    Attributes:
        view: the part of a tensor of the argument's cotangents (C, ...).
        value: the cotangents of that part.
    """

    view: Callable[[Tensor], Tensor]
    value: Tensor


# The cotangents (C, ...) of an operation's results, None where no output depends on one.
Results = Sequence[Tensor | None]
# The cotangent of an argument: of an operation, of its results, and the position of the argument.
Product = Callable[[Node, Results, int], Tensor | Part]


def batched_product(node: Node, wanted: Sequence[int]) -> Product | None:
    """Maps the cotangents of an operation's results to those of its wanted arguments.

    Args:
        node: the operation.
        wanted: the positions of the arguments.

    Returns:
        That, or None where the operation or an argument of it is not known.
    """
    name = node.name()
    if name.startswith(RESHAPES):
        return _reshape
    if name in _ELEMENTWISE:
        return _elementwise
    if name == "CatBackward0":
        known = all(argument_shape(node, position) for position in range(max(wanted)))
        return _concatenation if known else None
    product, positions = _PRODUCTS.get(name, (None, ()))
    return product if set(wanted) <= set(positions) else None


def _only(results: Results) -> Tensor:
    """The cotangent of an operation's one result."""
    (found, *_) = results
    assert found is not None
    return found


def _reshape(node: Node, results: Results, position: int) -> Tensor:
    """The same numbers in another shape."""
    g = _only(results)
    return g.reshape(len(g), *argument_shape(node, 0))


def _elementwise(node: Node, results: Results, position: int) -> Tensor:
    """An activation's own derivative, once for all combinations."""
    g = _only(results)
    return g * pass_back(node, torch.ones_like(g[0]))


def _matrix_product(node: Node, results: Results, position: int, first: str, second: str) -> Tensor:
    """``y = a b``: ``g b^T`` and ``a^T g``; what does not depend on the outputs is not copied."""
    g, shift = _only(results), int(node.name().startswith("Addmm"))
    if shift and position == 0:
        return _sum_to(g, argument_shape(node, 0)) * saved(node, "beta")
    scale = saved(node, "alpha") if shift else 1
    if position == shift:
        found = _times(g, saved(node, second).mT)
    else:
        found = _times(g.mT, saved(node, first)).mT
    return found if scale == 1 else found * scale


def _times(g: Tensor, other: Tensor) -> Tensor:
    """``g b`` for matrices or batches of them, (C, ..., m, p) and (..., p, k)."""
    if other.ndim == 2:
        return g @ other
    found = g.new_empty(*g.shape[:-1], other.shape[-1])
    for into, one in zip(found, g, strict=True):
        torch.bmm(one, other, out=into)
    return found


def _layer_norm(node: Node, results: Results, position: int) -> Tensor:
    """The mean of a position and its normalised numbers are taken from the cotangent."""
    g, weight = _only(results), saved(node, "weight")
    mean, scale = saved(node, "result1"), saved(node, "result2")
    axes = tuple(range(-len(saved(node, "normalized_shape")), 0))
    normalised = (saved(node, "input") - mean) * scale
    g = g if weight is None else g * weight
    along = (g * normalised).mean(axes, keepdim=True)
    rest = g - g.mean(axes, keepdim=True)
    return rest.addcmul_(normalised, along, value=-1).mul_(scale)


def _softmax(node: Node, results: Results, position: int) -> Tensor:
    """``y (g - sum g y)`` along its axis."""
    g, y = _only(results), saved(node, "result")
    weighted = g * y
    return weighted.addcmul_(y, weighted.sum(_axis(node), keepdim=True), value=-1)


def _sum(node: Node, results: Results, position: int, *, mean: bool) -> Tensor:
    """The same number at every position that was summed."""
    g, shape = _only(results), argument_shape(node, 0)
    axes = sorted(axis % len(shape) for axis in signed(list(saved(node, "dim"))))
    axes = axes or list(range(len(shape)))
    g = g / prod(shape[axis] for axis in axes) if mean else g
    if not saved(node, "keepdim"):
        for axis in axes:
            g = g.unsqueeze(axis + 1)
    return g.expand(len(g), *shape)


def _addition(node: Node, results: Results, position: int, sign: int = 1) -> Tensor:
    """The same cotangent for both, that of the second times its factor."""
    g = _sum_to(_only(results), argument_shape(node, position))
    factor = sign * saved(node, "alpha") if position else 1
    return g if factor == 1 else g * factor


def _multiplication(node: Node, results: Results, position: int) -> Tensor:
    """Each factor's cotangent is the other times the result's."""
    other = saved(node, "self" if position else "other")
    return _sum_to(_only(results) * other, argument_shape(node, position))


def _scaling(node: Node, results: Results, position: int) -> Tensor:
    """The operation with a number in place of a second tensor."""
    g, name = _only(results), node.name()
    if name.startswith(("Add", "Sub")):
        return g
    return g * saved(node, "other") if name.startswith("Mul") else g / saved(node, "other")


def _division(node: Node, results: Results, position: int) -> Tensor:
    return _sum_to(_only(results) / saved(node, "other"), argument_shape(node, 0))


def _expansion(node: Node, results: Results, position: int) -> Tensor:
    return _sum_to(_only(results), argument_shape(node, 0))


def _permutation(node: Node, results: Results, position: int) -> Tensor:
    g, order = _only(results), signed(list(saved(node, "dims")))
    order = [axis % len(order) for axis in order]
    return g.permute(0, *(1 + order.index(axis) for axis in range(len(order))))


def _transposition(node: Node, results: Results, position: int) -> Tensor:
    g = _only(results)
    if node.name() == "TBackward0":
        return g.mT if g.ndim == 3 else g
    return g.transpose(_axis(node, "dim0"), _axis(node, "dim1"))


def _selection(node: Node, results: Results, position: int) -> Part:
    """One place along an axis."""
    axis, index = _axis(node), signed([saved(node, "index")])[0]
    return Part(lambda whole: whole.select(axis, index), _only(results))


def _slice(node: Node, results: Results, position: int) -> Part:
    """Some places along an axis."""
    axis, (first, last) = _axis(node), signed([saved(node, "start"), saved(node, "end")])
    some = slice(first, last, saved(node, "step"))
    return Part(lambda whole: whole.movedim(axis, 0)[some].movedim(0, axis), _only(results))


def _split(node: Node, results: Results, position: int) -> Tensor:
    """Portions of an axis, side by side."""
    shapes = [result_shape(node, index) for index in range(len(results))]
    like = next(g for g in results if g is not None)
    parts = [
        like.new_zeros(len(like), *shape) if g is None else g
        for g, shape in zip(results, shapes, strict=True)
    ]
    if node.name() == "UnbindBackward0":
        return torch.stack(parts, _axis(node))
    return torch.cat(parts, _axis(node))


def _concatenation(node: Node, results: Results, position: int) -> Tensor:
    """A part of the result along an axis."""
    g, axis = _only(results), _axis(node)
    places = axis - 1 if axis > 0 else axis
    sizes = [argument_shape(node, before)[places] for before in range(position + 1)]
    return g.narrow(axis, sum(sizes[:-1]), sizes[-1])


def _axis(node: Node, name: str = "dim") -> int:
    """An axis that an operation was given, counted behind the combinations."""
    axis = signed([saved(node, name)])[0]
    return axis + 1 if axis >= 0 else axis


def _sum_to(g: Tensor, shape: Sequence[int]) -> Tensor:
    """Cotangents (C, ...) of what was broadcast from a shape."""
    if g.shape[1:] == torch.Size(shape):
        return g
    added = g.ndim - 1 - len(shape)
    g = g.sum(tuple(range(1, 1 + added))) if added else g
    over = [1 + axis for axis, size in enumerate(shape) if size == 1 and g.shape[1 + axis] > 1]
    return g.sum(over, keepdim=True) if over else g


# Activations: functions of one number.
_ELEMENTWISE = frozenset(
    f"{name}Backward0"
    for name in (
        *("Relu", "Gelu", "Silu", "Tanh", "Sigmoid", "LeakyRelu", "Elu", "Softplus", "Mish"),
        *("Hardswish", "Hardtanh", "Hardsigmoid", "Exp", "Log", "Sqrt", "Rsqrt", "Sin", "Cos"),
        *("Abs", "Neg", "Erf", "Pow"),
    )
)

_PRODUCTS: Mapping[str, tuple[Product, tuple[int, ...]]] = {
    "AddmmBackward0": (partial(_matrix_product, first="mat1", second="mat2"), (0, 1, 2)),
    "MmBackward0": (partial(_matrix_product, first="self", second="mat2"), (0, 1)),
    "BmmBackward0": (partial(_matrix_product, first="self", second="mat2"), (0, 1)),
    "NativeLayerNormBackward0": (_layer_norm, (0,)),
    "SoftmaxBackward0": (_softmax, (0,)),
    "SafeSoftmaxBackward0": (_softmax, (0,)),
    "MeanBackward1": (partial(_sum, mean=True), (0,)),
    "SumBackward1": (partial(_sum, mean=False), (0,)),
    "AddBackward0": (_addition, (0, 1)),
    "SubBackward0": (partial(_addition, sign=-1), (0, 1)),
    "MulBackward0": (_multiplication, (0, 1)),
    "DivBackward0": (_division, (0,)),
    **{f"{name}Backward1": (_scaling, (0,)) for name in ("Add", "Sub", "Mul", "Div")},
    "ExpandBackward0": (_expansion, (0,)),
    "PermuteBackward0": (_permutation, (0,)),
    "TransposeBackward0": (_transposition, (0,)),
    "TBackward0": (_transposition, (0,)),
    "SelectBackward0": (_selection, (0,)),
    "SliceBackward0": (_slice, (0,)),
    "SplitBackward0": (_split, (0,)),
    "SplitWithSizesBackward0": (_split, (0,)),
    "UnbindBackward0": (_split, (0,)),
}
