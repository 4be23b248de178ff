"""What goes wrong on the page, as one sentence; the page goes on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from hybridonn.core.errors import HybridonnError


class Notice:
    """A place on the page for one sentence, which readers of the screen are told at once."""

    def __init__(self) -> None:
        from nicegui import ui

        self._label = ui.label().classes("notice").props('role="alert"')
        self._label.set_visibility(False)

    def say(self, sentence: str) -> None:
        """Show a sentence; an empty one takes the last away."""
        self._label.set_text(sentence)
        self._label.set_visibility(bool(sentence))

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Show what fails within, and go on."""
        try:
            yield
            self.say("")
        except Exception as error:
            self.say(explain(error))


def explain(error: Exception) -> str:
    """An error as a sentence; a fault of the program itself is logged whole."""
    if isinstance(error, HybridonnError):
        return str(error)
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror or error}{where}"
    if isinstance(error, MemoryError):
        return "there is not enough memory for this; choose something smaller"
    logging.getLogger("hybridonn.explorer").exception("a fault of the explorer")
    return f"this failed by a fault of the program ({type(error).__name__}); its log says more"
