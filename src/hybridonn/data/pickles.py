"""Reads the arrays, lists and texts of a pickle without running any code that it names.

A pickle can name any function to be called. Here every name but those that
numpy's arrays are pickled by is refused, and these stand for plain records of
ours: neither numpy's constructors nor anyone else's are called.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from hybridonn.errors import DataError


class _Kind:
    """Stands for ``numpy.dtype``: pictures are unsigned bytes, labels lie in lists."""

    def __init__(self, code: str | bytes, *_: Any) -> None:
        text = code.decode("ascii") if isinstance(code, bytes) else code
        if text != "u1":
            raise DataError(f"an array of type {text}; allowed is u1, unsigned bytes")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Nothing: a byte has no order."""


class _Array:
    """Stands for ``numpy.ndarray``: holds what is needed to make one."""

    array: np.ndarray

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, by_columns, content = state
        if not isinstance(kind, _Kind) or not isinstance(content, bytes):
            raise DataError("an array whose values are not plain bytes")
        self.array = np.frombuffer(content, np.uint8).reshape(
            shape, order="F" if by_columns else "C"
        )


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _encode(text: str, coding: str = "latin1") -> bytes:
    if coding != "latin1":
        raise DataError(f"bytes coded as {coding}; allowed is latin1")
    return text.encode("latin1")


_ALLOWED: Mapping[tuple[str, str], Callable[..., Any]] = MappingProxyType(
    {
        ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Kind,
        ("_codecs", "encode"): _encode,  # how Python 3 writes bytes for Python 2
    }
)


class _Reader(pickle.Unpickler):  # noqa: S301  it calls nothing but what stands above
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise DataError(
                f"it names {module}.{name}, which no picture needs; nothing of it was run"
            ) from None

    def persistent_load(self, pid: Any) -> Any:
        raise DataError("it refers to objects outside of the file")


def read_pickled_dict(path: Path) -> dict[str, Any]:
    """Read a dictionary of arrays, lists and texts; keys become texts, arrays numpy's.

    Raises:
        DataError: The file cannot be read, is damaged, or holds anything else.
    """
    try:
        with path.open("rb") as file:
            content = _Reader(file, encoding="bytes").load()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    except Exception as error:  # a damaged pickle can fail in any way
        raise DataError(f"{path} is damaged or no python batch: {error}") from None
    if not isinstance(content, dict):
        raise DataError(f"{path} holds a {type(content).__name__}; a python batch is a dictionary")
    return {_to_text(key): _unwrap(value) for key, value in content.items()}


def _to_text(value: Any) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else str(value)


def _unwrap(value: Any) -> Any:
    return getattr(value, "array", None) if isinstance(value, _Array) else value
