"""Findings about a model that are kept while the model lives and is unchanged.

A model is unchanged while it has the same modules, hooks and parameters, none of them changed. The
operations of its forward pass are compared as well. A layer that does more than its class may agree
with its rule by chance, with a gain of one for example; so nothing is remembered of a graph with an
operation that `operations` does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cache
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from torch import Tensor, nn
from torch.autograd.graph import Node, get_gradient_edge

from hybridonn.tangent.empirical.operations import vector_jacobian_product
from hybridonn.tangent.empirical.torch_internals import (
    PARAMETER,
    TRANSPOSE,
    count_changes,
    hooks_of,
    own_buffers,
    own_parameters,
    parameter_of,
    result_shapes,
    saved,
    saves,
)

# What operations are told besides tensors.
_SETTINGS = (
    *("alpha", "beta", "dim", "keepdim", "eps", "training", "groups", "transposed"),
    *("kernel_size", "stride", "padding", "dilation", "ceil_mode", "count_include_pad"),
)
# Findings of one model that are remembered at a time.
_MOST = 16

_Finding = TypeVar("_Finding")
_FOUND: WeakKeyDictionary[nn.Module, dict[Hashable, Any]] = WeakKeyDictionary()


def remember(model: nn.Module, key: tuple[Hashable, ...], find: Callable[[], _Finding]) -> _Finding:
    """What was found for a model and a key before, or is found now.

    Args:
        model: the model.
        key: what the finding depends on; with a part that is None it is not remembered.
        find: finds it; must not hold on to the model.

    Returns:
        The finding.
    """
    if None in key:
        return find()
    kept = _FOUND.setdefault(model, {})
    if key not in kept:
        finding = find()
        if len(kept) >= _MOST:
            kept.clear()
        kept[key] = finding
    return kept[key]


def describe_state(model: nn.Module) -> Hashable:
    """A model's modules with their hooks, its parameters and buffers and how often they changed."""
    return tuple(
        (
            *(id(m), m.training, *(tuple(hooks) for hooks in hooks_of(m))),
            *(
                (id(t), t.data_ptr(), count_changes(t), t.requires_grad)
                for tensors in (own_parameters(m), own_buffers(m))
                for t in tensors.values()
                if t is not None
            ),
        )
        for m in model.modules()
    )


def describe_graph(outputs: Tensor) -> Hashable:
    """The operations of a forward pass: names, settings, shapes without samples, parameters.

    Args:
        outputs: the network's outputs (n, ...).

    Returns:
        A key that another forward pass shares only if it runs the same operations; None where one
        of them is not known to `operations`.
    """
    root = get_gradient_edge(outputs).node
    numbers: dict[Node, int] = {root: 0}
    waiting, found = [root], []
    for node in waiting:  # grows on the way
        if node.name() not in (PARAMETER, TRANSPOSE) and vector_jacobian_product(node) is None:
            return None
        parents = node.next_functions
        for parent, _ in parents:
            if parent is not None and parent not in numbers:
                numbers[parent] = len(numbers)
                waiting.append(parent)
        shapes = tuple(shape[1:] for shape in result_shapes(node))
        ties = tuple((-1 if p is None else numbers[p], result) for p, result in parents)
        settings = tuple(repr(saved(node, setting)) for setting in _settings(type(node)))
        found.append((node.name(), settings, shapes, ties, id(parameter_of(node))))
    return tuple(found)


@cache
def _settings(kind: type[Node]) -> tuple[str, ...]:
    """The settings that operations of a kind save."""
    return tuple(name for name in _SETTINGS if saves(kind, name))
