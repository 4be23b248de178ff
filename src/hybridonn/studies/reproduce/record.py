"""What a table of the paper is made of, as plain records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """A number of the paper and where ours is found.

    Attributes:
        key: Name of our number in what the study measures.
        label: What the page calls it.
        paper: The number of the paper, in the unit of the table; None: it states none.
        spread: The standard deviation that the paper gives; None: it gives none.
    """

    key: str
    label: str
    paper: float | None = None
    spread: float | None = None


@dataclass(frozen=True)
class Cost:
    """Seconds of one core, measured or scaled from measured ones.

    Attributes:
        run_s: Mean time of a run, of every row or by key of the row.
        before_s: Time of what is made once before the runs, by name: parts that name the same
            teacher share it.
    """

    run_s: float | Mapping[str, float]
    before_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Size:
    """How much of a part is measured.

    Attributes:
        trials: Seeds, draws or chips.
        cost: What that costs.
        settings: Settings over the spec, ``key.path=value``.
        rows: Keys of the rows that are measured; empty: all.
        left_out: What differs from the full size, as a phrase; empty: nothing does.
    """

    trials: int
    cost: Cost
    settings: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    left_out: str = ""


@dataclass(frozen=True)
class Part:
    """One system of a table: a study of one spec.

    Attributes:
        name: Name of its folder; parts of several tables that have the same one share its runs.
        system: What the page calls it.
        study: How it is measured, a key of :data:`hybridonn.studies.reproduce.kinds.KINDS`.
        spec: Name of a spec file beside this one, or of an example.
        rows: What is compared.
        full: The size of the whole measurement.
        quick: The size with ``--quick``; None: the part is left out.
        data: What it is measured on, where it is not what the paper measured on; empty: the same.
        original: Folder of the data root with the paper's own data: where it is there, ``instead``
            is measured, and where it is not, this part.
        instead: The part on the paper's own data; None: this part is on it.
        options: Further plain data for the study.
    """

    name: str
    system: str
    study: str
    spec: str
    rows: tuple[Row, ...]
    full: Size
    quick: Size | None = None
    data: str = ""
    original: str = ""
    instead: Part | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shared_folder(self) -> str:
        """Name of the folder with what its runs share: its own, or that of their run."""
        return self.options.get("run", self.name)


@dataclass(frozen=True)
class Table:
    """A table or figure of the paper.

    Attributes:
        name: Name on the command line.
        title: Heading on the page.
        about: What it shows, and what is known of the differences to the paper; plain sentences.
        parts: The systems.
        unit: Unit of its numbers: ``%``, of shares from 0 to 1 of ours, or ``mJ``.
    """

    name: str
    title: str
    about: str
    parts: tuple[Part, ...]
    unit: str = "%"
