"""Progress bars of long computations; any display with the method `bar` serves."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Advance(Protocol):
    """Moves a progress bar on by a number of steps."""

    def __call__(self, steps: float = 1, /) -> object:
        """Move the bar on."""
        ...


class Progress(Protocol):
    """Opens progress bars; any object with this method serves."""

    def bar(self, label: str, total: float, /) -> AbstractContextManager[Advance]:
        """Open a bar for as long as the context lasts.

        Args:
            label: what is computed.
            total: steps until it is done.
        """
        ...


def open_bar(
    progress: Progress | None, label: str, total: float
) -> AbstractContextManager[Advance]:
    """A bar of a progress display; one that shows nothing where there is no display."""
    return nullcontext(_ignore) if progress is None else progress.bar(label, total)


def _ignore(steps: float = 1, /) -> None:
    """Show nothing."""
