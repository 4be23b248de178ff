"""How much a command prints, and in which form: one mechanism for all commands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Output:
    """What a command shows.

    Attributes:
        as_json: Print one JSON document at the end, in place of text.
        quiet: Print nothing but errors.
        verbose: Print every number in place of a summary.
        document: What the JSON document will hold.
    """

    as_json: bool = False
    quiet: bool = False
    verbose: bool = False
    document: dict[str, Any] = field(default_factory=dict)

    @property
    def has_text(self) -> bool:
        """Whether text is printed for people to read."""
        return not (self.as_json or self.quiet)


_OUTPUT: ContextVar[Output | None] = ContextVar("output", default=None)


def current() -> Output:
    """The output of the command that runs."""
    return _OUTPUT.get() or Output()


@contextmanager
def choose_output(as_json: bool, quiet: bool, verbose: bool) -> Iterator[None]:
    """Let a command print in one form; its JSON document is printed when it has succeeded.

    Args:
        as_json: See :class:`Output`, as the others.
        quiet: Nothing but errors.
        verbose: Every number.
    """
    output = Output(as_json, quiet, verbose)
    token = _OUTPUT.set(output)
    try:
        yield
        if as_json and output.document:
            print(json.dumps(output.document, indent=2, default=str))  # noqa: T201
    finally:
        _OUTPUT.reset(token)


def say(what: object) -> None:
    """Print a sentence, or the path of a file that was written."""
    output = current()
    if output.has_text:
        print(what, flush=True)  # noqa: T201
    elif isinstance(what, Path):
        output.document.setdefault("files", []).append(str(what))
    else:
        output.document.setdefault("sentences", []).append(str(what))


def say_document(text: str, tree: Any) -> None:
    """Print what the command is for, which ``--quiet`` does not hide: a spec, a version.

    Args:
        text: The document for people.
        tree: The same for programs; a mapping becomes the JSON document itself.
    """
    output = current()
    if output.as_json:
        output.document.update(tree)
    else:
        print(text)  # noqa: T201


def keep(results: Any) -> None:
    """Keep the numbers of a command for its JSON document."""
    current().document["results"] = results
