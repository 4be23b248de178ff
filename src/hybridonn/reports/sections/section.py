"""A section of the report: when it is shown, its figures, and what the page's head says of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hybridonn.reports.artefacts.run import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Tile = tuple[str, str, str]  # a key number: what it is, its value, a note below it


@dataclass(frozen=True)
class ReportFigure:
    """A figure of the report with the words that go with it.

    Attributes:
        name: Name of the figure's file and of its anchor on the page.
        heading: Heading above the figure.
        alternative: What the figure shows, for a reader who cannot see it.
        caption: How to read the figure.
        draw: Draws the figure.
        table: Numbers below the figure, the header first.
        lead: The result in a sentence above the figure.
        level: Level of the heading: 2 opens a section, 3 continues the one before.
    """

    name: str
    heading: str
    alternative: str
    caption: str
    draw: Callable[[], Figure]
    table: tuple[tuple[str, ...], ...] = ()
    lead: str = ""
    level: int = 2


def _say_nothing(_: Run) -> Sequence[str]:
    return ()


def _show_nothing(_: Run) -> Sequence[Tile]:
    return ()


@dataclass(frozen=True)
class Section:
    """A section of the report.

    Attributes:
        name: Name of the section, unique in the list of sections.
        wanted: Whether a run has what the section shows.
        by_task: Whether the section is of those tasks alone that name it in their ``sections``.
        build: The section's figures, in order; called only where the section is wanted.
        verdict: Sentences for the head of the page.
        tiles: Key numbers for the head of the page.
    """

    name: str
    wanted: Callable[[Run], bool]
    build: Callable[[Run], Sequence[ReportFigure]]
    verdict: Callable[[Run], Sequence[str]] = _say_nothing
    tiles: Callable[[Run], Sequence[Tile]] = _show_nothing
    by_task: bool = False

    def shows(self, run: Run) -> bool:
        """Whether the section is in the report of a run."""
        return self.wanted(run) and (not self.by_task or self.name in run.task.sections)
