"""Readers that end well, badly or never, for the tests of isolation."""

import ctypes
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from hybridonn.core.errors import DataError


def give_back(*arguments: Any) -> Any:
    """Print, as a noisy library does, and return the arguments."""
    os.write(1, b"noise on standard output")
    return arguments


def crash(path: Path) -> None:
    """Read address 0."""
    ctypes.string_at(0)


def sleep(path: Path) -> None:
    """Never end."""
    time.sleep(1000)


def spin(path: Path) -> None:
    """Never end, and be busy."""
    while True:
        pass


def take_memory(gigabytes: float) -> int:
    """Take memory and touch it."""
    return int(np.ones(int(gigabytes * 1e9), np.uint8)[-1])


def refuse(path: Path) -> None:
    """Raise an error of the project."""
    raise DataError(f"{path} holds no images")


def stumble(path: Path) -> None:
    """Raise an error of a library."""
    raise KeyError("header")


def give_objects() -> np.ndarray:
    """Return what cannot be passed without pickle."""
    return np.array([{"a": 1}], dtype=object)
