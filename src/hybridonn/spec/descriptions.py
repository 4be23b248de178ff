"""The meaning of each key of a spec, read from the docstring below the key in the source."""

from __future__ import annotations

import ast
import inspect
import sys
from functools import cache
from itertools import pairwise


@cache
def describe_keys(model: type) -> dict[str, str]:
    """The docstrings of the keys of a section, those of its base classes included.

    Args:
        model: The class of the section. A class that was made by a function has no source: its
            keys are described where they are made.
    """
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        found |= _describe_module(base.__module__).get(base.__qualname__, {})
    return found


@cache
def _describe_module(name: str) -> dict[str, dict[str, str]]:
    """The docstrings of the attributes of every class of a module of this package."""
    if name.partition(".")[0] != __name__.partition(".")[0]:
        return {}
    tree = ast.parse(inspect.getsource(sys.modules[name]))
    classes = (node for node in tree.body if isinstance(node, ast.ClassDef))
    return {one.name: dict(_pair(one.body)) for one in classes}


def _pair(body: list[ast.stmt]) -> list[tuple[str, str]]:
    return [
        (key.target.id, " ".join(text.value.value.split()))
        for key, text in pairwise(body)
        if isinstance(key, ast.AnnAssign)
        and isinstance(key.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    ]
