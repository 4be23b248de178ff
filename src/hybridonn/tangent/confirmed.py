"""What has been found out about a model, kept for as long as it lives.

Whether the layers' rules hold, and what a sample needs, follows from the operations of a forward
pass, not from the numbers in it: it is found out once for a model and its graph.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from torch import Tensor, nn
from torch.autograd.graph import Node, get_gradient_edge

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


def once(model: nn.Module, key: Hashable, find: Callable[[], _Finding]) -> _Finding:
    """What was found for a model and a key before, or is found now.

    Args:
        model: the model.
        key: what the finding depends on.
        find: finds it; must not hold on to the model.

    Returns:
        The finding.
    """
    kept = _FOUND.setdefault(model, {})
    if key not in kept:
        finding = find()
        if len(kept) >= _MOST:
            kept.clear()
        kept[key] = finding
    return kept[key]


def state_of(model: nn.Module) -> Hashable:
    """A model's modules with their hooks, which of its parameters are trainable."""
    modules = tuple(
        (id(m), m.training, *(tuple(hooks) for hooks in _hooks(m))) for m in model.modules()
    )
    return modules, tuple((id(p), p.requires_grad) for p in model.parameters())


def graph_of(outputs: Tensor) -> Hashable:
    """The operations of a forward pass: names, shapes without samples, ties, parameters."""
    root = get_gradient_edge(outputs).node
    numbers: dict[Node, int] = {root: 0}
    waiting, found = [root], []
    for node in waiting:  # grows on the way
        parents = node.next_functions
        for parent, _ in parents:
            if parent is not None and parent not in numbers:
                numbers[parent] = len(numbers)
                waiting.append(parent)
        shapes = tuple(tuple(m.shape[1:]) for m in node._input_metadata)  # type: ignore[attr-defined]
        ties = tuple((-1 if p is None else numbers[p], result) for p, result in parents)
        found.append((node.name(), shapes, ties, id(getattr(node, "variable", None))))
    return tuple(found)


def _hooks(module: nn.Module) -> tuple[dict[int, Any], ...]:
    """What a module runs beside its own forward pass."""
    return (
        module._forward_hooks,
        module._forward_pre_hooks,
        module._backward_hooks,
        module._backward_pre_hooks,
    )
