"""A figure of the report with the words that go with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """A figure of the report.

    Attributes:
        name: Of its file and of its anchor.
        heading: Of its section.
        alternative: What it shows, for a reader who cannot see it.
        caption: How to read it.
        draw: Makes it.
        table: Numbers to stand below it, the header first.
        lead: What it comes to, in a sentence above it.
        level: Of its heading: 2 opens a section, 3 goes on with the one before.
    """

    name: str
    heading: str
    alternative: str
    caption: str
    draw: Callable[[], Figure]
    table: tuple[tuple[str, ...], ...] = ()
    lead: str = ""
    level: int = 2
