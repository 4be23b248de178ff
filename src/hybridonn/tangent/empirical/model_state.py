"""Findings about a model that are kept while the model lives and is unchanged.

A model is unchanged while it has the same modules, hooks and parameters, none of them changed. What
is kept may save work or silence a warning that was given before; no kernel depends on it, since a
plain attribute of a module can change without a sign.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import nn

from hybridonn.tangent.empirical.torch_internals import (
    count_changes,
    hooks_of,
    own_buffers,
    own_parameters,
)
from hybridonn.tangent.errors import TangentWarning

# Findings of one model that are remembered at a time.
_MOST = 16

_Finding = TypeVar("_Finding")
_FOUND: WeakKeyDictionary[nn.Module, dict[Hashable, Any]] = WeakKeyDictionary()
_TOLD: WeakKeyDictionary[nn.Module, set[str]] = WeakKeyDictionary()


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


def warn_once(model: nn.Module, message: str, *, stacklevel: int) -> None:
    """Give a warning about a model that it has not been given before.

    Python's own memory of warnings is emptied whenever somebody catches warnings, as torch does.

    Args:
        model: the model.
        message: what to say.
        stacklevel: as for `warnings.warn`, counted from the caller.
    """
    told = _TOLD.setdefault(model, set())
    if message not in told:
        told.add(message)
        warnings.warn(message, TangentWarning, stacklevel=stacklevel + 1)


@contextmanager
def unchanged_buffers(model: nn.Module) -> Iterator[None]:
    """Put the buffers of a model back that its forward passes change, as running statistics do."""
    before = [
        (module, name, buffer, buffer.clone(), count_changes(buffer))
        for module in model.modules()
        for name, buffer in own_buffers(module).items()
        if buffer is not None
    ]
    try:
        yield
    finally:
        with torch.no_grad():
            for module, name, buffer, copy, changes in before:
                own_buffers(module)[name] = buffer
                if count_changes(buffer) != changes:
                    buffer.copy_(copy)


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
