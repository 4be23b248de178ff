"""What has been found out about a model, kept for as long as it lives.

Whether the layers' rules hold, and what a sample needs, is found out once for a model as it is: the
same modules, hooks and parameters, none of them changed, and the same operations. A layer that does
more than its class may agree with its rule by chance, with a gain of one for example; so nothing is
remembered of a graph with an operation that `reverse` does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from torch import Tensor, nn
from torch.autograd.graph import Node, get_gradient_edge

from hybridonn.tangent.nodes import saved
from hybridonn.tangent.reverse import is_known_operation

# Operations without a number of their own: a parameter, and its transpose in a dense layer.
_HARMLESS = ("torch::autograd::AccumulateGrad", "TBackward0")
# What operations are told besides tensors.
_SETTINGS = (
    *("alpha", "beta", "dim", "keepdim", "eps", "training", "groups", "transposed"),
    *("kernel_size", "stride", "padding", "dilation", "ceil_mode", "count_include_pad"),
)
# Graphs of one model that are remembered at a time.
_MOST = 16


@dataclass(frozen=True)
class Confirmed:
    """What autograd says of the layers' rules.

    Attributes:
        layers: the names of the layers whose gradients it confirms.
        wrong: why not, of the others.
        reached: the names of the parameters that the outputs depend on.
    """

    layers: frozenset[str]
    wrong: Mapping[str, str]
    reached: frozenset[str]


_Finding = TypeVar("_Finding")
_FOUND: WeakKeyDictionary[nn.Module, dict[Hashable, Any]] = WeakKeyDictionary()


def once(model: nn.Module, key: tuple[Hashable, ...], find: Callable[[], _Finding]) -> _Finding:
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


def state_of(model: nn.Module) -> Hashable:
    """A model's modules with their hooks, its parameters and buffers and how often they changed."""
    return tuple(
        (
            *(id(m), m.training, *(tuple(hooks) for hooks in _hooks(m))),
            *(
                (id(t), t.data_ptr(), t._version, t.requires_grad)
                for tensors in (m._parameters, m._buffers)
                for t in tensors.values()
                if t is not None
            ),
        )
        for m in model.modules()
    )


def graph_of(outputs: Tensor) -> Hashable:
    """The operations of a forward pass: names, settings, shapes without samples, parameters.

    None where one of them is not known to `reverse`.
    """
    root = get_gradient_edge(outputs).node
    numbers: dict[Node, int] = {root: 0}
    waiting, found = [root], []
    for node in waiting:  # grows on the way
        if not (is_known_operation(node) or node.name() in _HARMLESS):
            return None
        parents = node.next_functions
        for parent, _ in parents:
            if parent is not None and parent not in numbers:
                numbers[parent] = len(numbers)
                waiting.append(parent)
        shapes = tuple(tuple(m.shape[1:]) for m in node._input_metadata)  # type: ignore[attr-defined]
        ties = tuple((-1 if p is None else numbers[p], result) for p, result in parents)
        settings = tuple(repr(saved(node, setting)) for setting in _settings(type(node)))
        found.append((node.name(), settings, shapes, ties, id(getattr(node, "variable", None))))
    return tuple(found)


@cache
def _settings(kind: type[Node]) -> tuple[str, ...]:
    """The settings that operations of a kind keep."""
    return tuple(name for name in _SETTINGS if hasattr(kind, f"_saved_{name}"))


def _hooks(module: nn.Module) -> tuple[dict[int, Any], ...]:
    """What a module runs beside its own forward pass."""
    return (
        module._forward_hooks,
        module._forward_pre_hooks,
        module._backward_hooks,
        module._backward_pre_hooks,
    )
