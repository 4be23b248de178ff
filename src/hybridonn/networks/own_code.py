"""Calls of the user's own code, of a teacher or a backend."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def accepts(make: Callable[..., Any], name: str) -> bool:
    """Whether a callable takes an argument of this name."""
    try:
        return name in inspect.signature(make).parameters
    except (TypeError, ValueError):  # a class without a signature
        return False


def quote(error: Exception) -> str:
    """Message of an error in one line; with its kind where the message alone may say little."""
    said = " ".join(str(error).split())
    return said if isinstance(error, (TypeError, ValueError)) else f"{type(error).__name__}: {said}"
