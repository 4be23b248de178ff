"""Which numbers of a parameter an operation is given, through views of the parameter.

A parameter reaches the operation that uses it through transposes, slices and reshapes. Here they
are applied to the indices of its numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import Node

from hybridonn.tangent.empirical.graph import argument_shape
from hybridonn.tangent.empirical.torch_internals import RESHAPES, result_shape, saved, signed

Users = Mapping[Node, Sequence[tuple[Node, int]]]


@dataclass(frozen=True)
class ParameterUse:
    """An operation that is given a parameter, or a view of it.

    Attributes:
        node: the operation.
        position: which of its arguments that is.
        index: the indices of the parameter's numbers, in the argument's shape.
    """

    node: Node
    position: int
    index: Tensor


def find_uses(parameter: Tensor, leaf: Node, users: Users) -> Iterator[ParameterUse]:
    """The operations that are given a parameter or a view of it.

    Args:
        parameter: the parameter.
        leaf: its node in autograd's graph.
        users: the operations that take each operation's result, and where.
    """
    numbers = torch.arange(parameter.numel(), device=parameter.device).view(parameter.shape)
    waiting: list[tuple[Node, Sequence[Tensor]]] = [(leaf, [numbers])]
    while waiting:
        node, results = waiting.pop()
        for user, position in users.get(node, []):
            index = results[user.next_functions[position][1]]
            view = _view_of(user)
            if view is None:
                yield ParameterUse(user, position, index)
            else:
                waiting.append((user, view(user, index)))


def _view_of(node: Node) -> Callable[[Node, Tensor], Sequence[Tensor]] | None:
    """Applies an operation that only renames its argument's numbers; None for another one."""
    name = node.name()
    if name == "ExpandBackward0" and result_shape(node) == argument_shape(node, 0):
        return _same
    return _VIEWS.get(name) or (_reshape if name.startswith(RESHAPES) else None)


def _reshape(node: Node, index: Tensor) -> Sequence[Tensor]:
    return [index.reshape(result_shape(node))]


def _same(node: Node, index: Tensor) -> Sequence[Tensor]:
    return [index]


def _axis(node: Node, name: str) -> int:
    """An axis that an operation was given."""
    return signed([saved(node, name)])[0]


def _unbind(node: Node, index: Tensor) -> Sequence[Tensor]:
    return index.unbind(_axis(node, "dim"))


def _select(node: Node, index: Tensor) -> Sequence[Tensor]:
    return [index.select(_axis(node, "dim"), _axis(node, "index"))]


def _slice(node: Node, index: Tensor) -> Sequence[Tensor]:
    axis, first, last = (_axis(node, name) for name in ("dim", "start", "end"))
    part = slice(first, last, saved(node, "step"))
    return [index.movedim(axis, 0)[part].movedim(0, axis)]


def _permute(node: Node, index: Tensor) -> Sequence[Tensor]:
    return [index.permute(signed(list(saved(node, "dims"))))]


def _transpose(node: Node, index: Tensor) -> Sequence[Tensor]:
    return [index.transpose(_axis(node, "dim0"), _axis(node, "dim1"))]


def _split(node: Node, index: Tensor) -> Sequence[Tensor]:
    return index.split(saved(node, "split_size"), _axis(node, "dim"))


def _split_with_sizes(node: Node, index: Tensor) -> Sequence[Tensor]:
    return index.split(list(saved(node, "split_sizes")), _axis(node, "dim"))


_VIEWS: dict[str, Callable[[Node, Tensor], Sequence[Tensor]]] = {
    "TBackward0": lambda node, index: [index.t()],
    "TransposeBackward0": _transpose,
    "PermuteBackward0": _permute,
    "SelectBackward0": _select,
    "SliceBackward0": _slice,
    "SplitBackward0": _split,
    "UnsafeSplitBackward0": _split,
    "SplitWithSizesBackward0": _split_with_sizes,
    "UnbindBackward0": _unbind,
    "ToCopyBackward0": _same,  # another precision
}
