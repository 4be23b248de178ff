"""Errors of rooms that stand alone, raised as the errors that the command line shows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hybridonn.core.errors import HybridonnError


@contextmanager
def translate_tangent_errors() -> Iterator[None]:
    """Raise a `TangentError` as a `HybridonnError` with the same message.

    `hybridonn.tangent` imports nothing from other rooms and has errors of its own. Entry points
    use this as a context or as a decorator.

    Raises:
        HybridonnError: A tangent kernel cannot be computed.
        ValueError: What was raised is no `TangentError`.
    """
    try:
        yield
    except ValueError as error:
        from hybridonn.tangent import TangentError

        if isinstance(error, TangentError):
            raise HybridonnError(str(error)) from error
        raise
