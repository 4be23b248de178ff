"""Reads the arrays, lists and texts of a pickle without running any code that it names.

A pickle is a program for a small machine. The machine here knows only the steps that arrays,
lists and texts need: it calls nothing but what stands for numpy's constructors, keeps no more
than the file's own size, and takes texts alone as keys, because Python's own machine can be made
to take any memory, and to end the process, by a few bytes.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from hybridonn.core.errors import DataError
from hybridonn.data.memory import refuse_memory

MOST_STEPS = 1_000_000  # CIFAR-100's 50,000 images take 350,000
MOST_KEYS = 1000
COPIES = 4  # of its size that a file may take in memory


class _Kind:
    """Stands for ``numpy.dtype``: pictures are unsigned bytes, labels lie in lists."""

    def __init__(self, code: str | bytes, *_: Any) -> None:
        text = code.decode("ascii") if isinstance(code, bytes) else code
        if text != "u1":
            raise DataError(f"an array of type {str(text)[:20]}; allowed is u1, unsigned bytes")

    def set_state(self, state: Any) -> None:
        """Nothing: a byte has no order."""


class _Array:
    """Stands for ``numpy.ndarray``: holds what is needed to make one."""

    array: np.ndarray | None = None

    def set_state(self, state: Any) -> None:
        """Take the values: version, shape, kind, whether the first index is fastest, and bytes.

        Raises:
            DataError: They are not plain bytes, or of another number.
        """
        _, shape, kind, by_columns, content = state
        if not isinstance(kind, _Kind) or not isinstance(content, bytes):
            raise DataError("an array whose values are not plain bytes")
        if not all(type(size) is int and size >= 0 for size in shape):
            raise DataError("an array whose sizes are no numbers")
        if math.prod(shape) != len(content):
            raise DataError(f"an array of sizes {tuple(shape)} with {len(content):,} values")
        values = np.frombuffer(content, np.uint8)
        self.array = values.reshape(tuple(shape), order="F" if by_columns else "C")


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _encode(text: Any, coding: Any = "latin1") -> bytes:
    if coding != "latin1" or not isinstance(text, str):
        raise DataError("bytes in another coding than latin1")
    return text.encode("latin1")


_ALLOWED: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "numpy.core.multiarray _reconstruct": _reconstruct,
        "numpy._core.multiarray _reconstruct": _reconstruct,
        "numpy ndarray": _Array,
        "numpy dtype": _Kind,
        "_codecs encode": _encode,  # how Python 3 writes bytes for Python 2
    }
)


def read_pickled_dict(path: Path) -> dict[str, Any]:
    """Read a dictionary of arrays, lists and texts; keys become texts, arrays numpy's.

    Raises:
        DataError: The file cannot be read, is damaged, too large, or holds anything else.
    """
    try:
        size = COPIES * path.stat().st_size
        refuse_memory(size, f"to read {path}", "free some, or use the binary version of the set")
        program = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    try:
        content = _Machine(program).run()
    except Exception as error:  # a damaged pickle can fail in any way
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise DataError(f"{path} is damaged or no python batch: {reason}") from None
    if not isinstance(content, dict):
        raise DataError(f"{path} holds a {type(content).__name__}; a python batch is a dictionary")
    return {_to_text(key): _unwrap(value) for key, value in content.items()}


def _to_text(value: str | bytes) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else value


def _unwrap(value: Any) -> Any:
    return value.array if isinstance(value, _Array) else value


class _Machine:
    """Runs a pickle's steps on a stack, as ``pickletools`` describes them."""

    def __init__(self, program: bytes) -> None:
        self._program = program
        self.stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._made = 0

    def run(self) -> Any:
        """What the program leaves on the stack.

        Raises:
            DataError: A step that no arrays, lists and texts need, or too many of them.
        """
        for count, (step, argument, _) in enumerate(pickletools.genops(self._program)):
            name = step.name
            if count > MOST_STEPS:
                raise DataError(f"it takes more than {MOST_STEPS:,} steps; a batch takes fewer")
            if name in _BYTES:  # Python 2's texts, which pickletools gives as latin1
                self.stack.append(str(argument).encode("latin1"))
            elif name in _VALUES:
                self.stack.append(self._check(argument))
            elif name in _CONSTANTS:
                self.stack.append(_CONSTANTS[name])
            elif name in _STEPS:
                _STEPS[name](self, argument)
            elif name == "STOP":
                return self.stack.pop()
            elif name not in _IDLE:
                raise DataError(f"it takes the step {name}, which no image needs")
        raise DataError("it ends too early")

    @staticmethod
    def _check(value: Any) -> Any:
        if isinstance(value, int) and value.bit_length() > 63:
            raise DataError("a number of more than 64 bits")
        return value

    def mark(self, _: Any) -> None:
        """Remember how high the stack is."""
        self._marks.append(len(self.stack))

    def pop_marked(self) -> list[Any]:
        """Take what lies above the last mark."""
        start = self._marks.pop()
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def take(self, count: int) -> list[Any]:
        """Take the uppermost values.

        Raises:
            DataError: There are fewer.
        """
        if len(self.stack) < count:
            raise DataError("a step without its values")
        taken = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return taken

    def push_tuple(self, count: int | None) -> None:
        """Put a tuple of the uppermost values, or of those above the mark."""
        self.stack.append(tuple(self.pop_marked() if count is None else self.take(count)))

    def append(self, values: list[Any]) -> None:
        """Put values at the end of the list on top.

        Raises:
            DataError: There is none.
        """
        if not isinstance(self.stack[-1], list):
            raise DataError("values for a list that is none")
        self.stack[-1].extend(values)

    def set_items(self, values: list[Any]) -> None:
        """Put keys and values, in turn, into the dictionary on top.

        Raises:
            DataError: There is none, a key is no text, or there are too many.
        """
        held = self.stack[-1]
        if not isinstance(held, dict) or len(values) % 2:
            raise DataError("keys and values for a dictionary that is none")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(key, (str, bytes)):
                raise DataError(f"a key that is a {type(key).__name__}; keys are texts")
            held[key] = value
        if len(held) > MOST_KEYS:
            raise DataError(f"a dictionary of more than {MOST_KEYS:,} keys")

    def push_dict(self) -> None:
        """Put a dictionary of what lies above the mark."""
        values = self.pop_marked()
        self.stack.append({})
        self.set_items(values)

    def keep(self, place: int | None) -> None:
        """Keep what is on top under a number, or under the next one."""
        self._memo[len(self._memo) if place is None else place] = self.stack[-1]

    def recall(self, place: int) -> None:
        """Put what was kept.

        Raises:
            DataError: Nothing was kept under the number.
        """
        if place not in self._memo:
            raise DataError("a value that was not kept")
        self.stack.append(self._memo[place])

    def find(self, name: str) -> None:
        """Put what stands for a function.

        Raises:
            DataError: The function is none of those that are known.
        """
        if name not in _ALLOWED:
            shown = name.replace(" ", ".")[:100]
            raise DataError(f"it names {shown}, which no image needs; nothing of it was run")
        self.stack.append(_ALLOWED[name])

    def call(self, _: Any) -> None:
        """Call a function with a tuple of arguments.

        Raises:
            DataError: It is none of those that are known, or makes more than the file holds.
        """
        function, arguments = self.take(2)
        if function not in _ALLOWED.values() or not isinstance(arguments, tuple):
            raise DataError("a call of what cannot be called")
        made = function(*arguments)
        self._made += len(made) if isinstance(made, bytes) else 0
        if self._made > COPIES * len(self._program):
            raise DataError("it makes more than it holds")
        self.stack.append(made)

    def build(self, _: Any) -> None:
        """Give an array or a kind its state.

        Raises:
            DataError: There is none of them.
        """
        made, state = self.take(2)
        if not isinstance(made, (_Array, _Kind)):
            raise DataError("a state for what has none")
        made.set_state(state)
        self.stack.append(made)


_BYTES = frozenset({"STRING", "BINSTRING", "SHORT_BINSTRING"})
_VALUES = frozenset(
    {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
    | {"UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
    | {"SHORT_BINBYTES", "BINBYTES", "BINBYTES8"}
)
_CONSTANTS = MappingProxyType({"NONE": None, "NEWTRUE": True, "NEWFALSE": False})
_IDLE = frozenset({"PROTO", "FRAME"})
_STEPS: Mapping[str, Callable[[_Machine, Any], None]] = MappingProxyType(
    {
        "MARK": _Machine.mark,
        "EMPTY_TUPLE": lambda machine, _: machine.push_tuple(0),
        "TUPLE": lambda machine, _: machine.push_tuple(None),
        "TUPLE1": lambda machine, _: machine.push_tuple(1),
        "TUPLE2": lambda machine, _: machine.push_tuple(2),
        "TUPLE3": lambda machine, _: machine.push_tuple(3),
        "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
        "LIST": lambda machine, _: machine.stack.append(machine.pop_marked()),
        "APPEND": lambda machine, _: machine.append(machine.take(1)),
        "APPENDS": lambda machine, _: machine.append(machine.pop_marked()),
        "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
        "DICT": lambda machine, _: machine.push_dict(),
        "SETITEM": lambda machine, _: machine.set_items(machine.take(2)),
        "SETITEMS": lambda machine, _: machine.set_items(machine.pop_marked()),
        "PUT": _Machine.keep,
        "BINPUT": _Machine.keep,
        "LONG_BINPUT": _Machine.keep,
        "MEMOIZE": _Machine.keep,
        "GET": _Machine.recall,
        "BINGET": _Machine.recall,
        "LONG_BINGET": _Machine.recall,
        "GLOBAL": _Machine.find,
        "STACK_GLOBAL": lambda machine, _: machine.find(" ".join(machine.take(2))),
        "REDUCE": _Machine.call,
        "BUILD": _Machine.build,
    }
)
