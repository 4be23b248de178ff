"""The HTML report of a study: one page for every kind, of its numbers and its figure."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hybridonn.core.errors import ArtefactError
from hybridonn.core.files import write_text
from hybridonn.reports.artefacts.reading import read_json, read_text, refusal
from hybridonn.reports.tables.studies import (
    Table,
    Tables,
    tabulate_comparison,
    tabulate_ranking,
    tabulate_readout,
    tabulate_regimes,
    tabulate_strategies,
    tabulate_tolerance,
)

PAGE = "report.html"


@dataclass(frozen=True)
class StudyKind:
    """What the pages of one kind of study have in common.

    Attributes:
        title: What the study shows, after the name of the design.
        command: The command that writes it.
        caption: What its figure shows.
        tables: Makes its tables of what its JSON file holds.
    """

    title: str
    command: str
    caption: str
    tables: Tables


# By the name of the JSON file and of the figure, without a suffix.
KINDS: Mapping[str, StudyKind] = MappingProxyType(
    {
        "comparison": StudyKind(
            "compared on paired seeds",
            "hybridonn compare",
            "Each line is a seed. Right: paired differences with their 95 % intervals.",
            tabulate_comparison,
        ),
        "tolerance": StudyKind(
            "simulated chips",
            "hybridonn tolerance",
            "Each dot is a chip, each bar a mean. Right: what each error costs alone.",
            tabulate_tolerance,
        ),
        "ranking": StudyKind(
            "designs ranked before training",
            "hybridonn study ranking",
            "Each point is a design: estimated against trained accuracy.",
            tabulate_ranking,
        ),
        "readout": StudyKind(
            "accuracy by the numbers read out",
            "hybridonn study readout",
            "Means over the seeds with 95 % intervals, a panel a bit depth.",
            tabulate_readout,
        ),
        "strategies": StudyKind(
            "kernels first against end to end",
            "hybridonn study strategies",
            "Means with 95 % intervals; hollow marks are what PSFs that are cropped to their "
            "kernels would have claimed of the same networks.",
            tabulate_strategies,
        ),
        "regimes": StudyKind(
            "where distillation pays",
            "hybridonn study regimes",
            "Differences in points over training images and epochs; bold ones leave out zero.",
            tabulate_regimes,
        ),
    }
)


def find_kind(folder: Path) -> str | None:
    """Which study a folder holds, by the JSON file that it writes last; None: no finished one."""
    return next((name for name in KINDS if (folder / f"{name}.json").is_file()), None)


def write_study_report(folder: Path) -> Path:
    """Write folder/report.html from the numbers and the figure of a finished study.

    Raises:
        ArtefactError: The folder holds no finished study, a file of it is missing or damaged, or
            the page cannot be written.
    """
    name = find_kind(folder)
    if name is None:
        raise ArtefactError(
            f"{folder} holds no finished study: none of {', '.join(f'{one}.json' for one in KINDS)}"
        )
    kind, path = KINDS[name], folder / f"{name}.json"
    found = read_json(path, kind.command)
    try:
        page = render_study(kind, found, folder / f"{name}.svg")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        wrong = f"a key or a value is missing or of the wrong kind ({error})"
        raise ArtefactError(refusal(path, kind.command, wrong)) from None
    write_text(folder / PAGE, page)
    return folder / PAGE


def render_study(kind: StudyKind, found: dict[str, Any], figure: Path) -> str:
    """The page as HTML, every text of the study escaped.

    Args:
        kind: What the study shows.
        found: What its JSON file holds.
        figure: Its figure, SVG.

    Raises:
        ArtefactError: The figure is missing.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    room = files("hybridonn.reports")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string((room / "study.html").read_text("utf-8"))
    drawing = read_text(figure, kind.command).encode()
    return template.render(
        design=str(found.get("design", found.get("name", ""))),
        kind=kind,
        style=Markup((room / "report.css").read_text("utf-8")),
        sentences=found.get("sentences", []),
        tables=_number(kind.tables(found)),
        source=f"data:image/svg+xml;base64,{b64encode(drawing).decode('ascii')}",
        spec=read_text(figure.parent / "spec.yaml", kind.command),
    )


def _number(tables: list[Table]) -> list[tuple[str, Table]]:
    return [(f"table-{place}", table) for place, table in enumerate(tables, 1)]
