"""What a part of a table is told, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from hybridonn.core.progress import Progress
from hybridonn.studies.workers import Workers


@dataclass(frozen=True)
class Call:
    """What every part of a reproduction is told.

    Attributes:
        folder: Folder of the part.
        data_root: Where named data sets lie.
        progress: Shows how far it is.
        workers: Who does the runs.
    """

    folder: Path
    data_root: Path | None
    progress: Progress
    workers: Workers


@dataclass(frozen=True)
class Measured:
    """Our number beside one of the paper.

    Attributes:
        values: One a seed, draw or chip, in the unit of the table; shares where that is per cent.
        seconds: Mean time of one of them; None: there is nothing to train.
        images: Test images that a single value is of, each named rightly or wrongly; None: the
            value is of another kind.
        note: What there is to say beside it.
    """

    values: tuple[float, ...]
    seconds: float | None = None
    images: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Found:
    """What a part has shown.

    Attributes:
        rows: By key of the row.
        sentences: Paired differences and the like.
        figures: Files (PNG), each with its caption.
    """

    rows: dict[str, Measured]
    sentences: list[str] = field(default_factory=list)
    figures: list[tuple[Path, str]] = field(default_factory=list)
