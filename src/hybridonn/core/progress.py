"""How long work tells how far it is, without knowing of any screen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Progress(Protocol):
    """Shows bars with the time left; the command line brings one, tests need none."""

    def bar(self, label: str, total: float, done: float = 0) -> AbstractContextManager[Advance]:
        """A bar that lasts as long as the context; what it yields moves it on."""
        ...

    def say(self, line: str) -> None:
        """A line that stays on the screen."""
        ...


class Advance(Protocol):
    """Moves a bar on by a number of steps, with a short note beside it."""

    def __call__(self, steps: float = 1, note: str = "") -> None:
        """Move the bar on."""
        ...


class Silent:
    """A progress that shows nothing."""

    @contextmanager
    def bar(self, label: str, total: float, done: float = 0) -> Iterator[Callable[..., None]]:
        """A bar that nobody sees."""
        yield lambda steps=1, note="": None

    def say(self, line: str) -> None:
        """A line that nobody reads."""
