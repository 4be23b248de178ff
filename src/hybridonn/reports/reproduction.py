"""The page of a reproduction: the paper's numbers beside ours."""

from __future__ import annotations

from base64 import b64encode
from importlib.resources import files
from pathlib import Path
from typing import Any

from hybridonn.core.errors import ArtefactError
from hybridonn.core.files import write_text
from hybridonn.reports.artefacts.reading import read_json, refusal
from hybridonn.reports.formats import duration

STAGE = "hybridonn reproduce"
PAGE, KEPT = "reproduction.html", "reproduction.json"
TITLE = "The paper's tables, measured again"


def write_reproduction(folder: Path) -> Path:
    """Write folder/reproduction.html from folder/reproduction.json.

    Raises:
        ArtefactError: The file is missing or damaged, or the page cannot be written.
    """
    path = folder / KEPT
    tree = read_json(path, STAGE)
    try:
        page = render_reproduction(tree, folder)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        found = f"a key or a value is missing or of the wrong kind ({error})"
        raise ArtefactError(refusal(path, STAGE, found)) from None
    write_text(folder / PAGE, page)
    return folder / PAGE


def render_reproduction(tree: dict[str, Any], folder: Path) -> str:
    """The page as HTML.

    Args:
        tree: What ``reproduction.json`` holds.
        folder: Where its figures lie.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    room = files("hybridonn.reports")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string((room / "reproduction.html").read_text("utf-8"))
    return template.render(
        title=TITLE,
        style=Markup((room / "report.css").read_text("utf-8")),
        verdict=_judge(tree),
        tables=[_lay_out(table, folder) for table in tree["tables"]],
    )


def _embed(path: Path) -> str:
    """A figure as a data URI.

    Raises:
        ArtefactError: It is missing.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        found = error.strerror or str(error)
        raise ArtefactError(refusal(path, STAGE, found)) from None
    return f"data:image/png;base64,{b64encode(content).decode('ascii')}"


def _judge(tree: dict[str, Any]) -> str:
    rows = [row for table in tree["tables"] for row in table["rows"]]
    measured = sum(row["ours"] is not None for row in rows)
    smaller = " With --quick, so less was measured than the paper did: each system says what."
    return f"{measured} of {len(rows)} numbers were measured.{smaller if tree['quick'] else ''}"


def _lay_out(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    unit = table["unit"]
    names = dict.fromkeys((row["system"], row["data"]) for row in table["rows"])
    systems = []
    for name, data in names:
        rows = [row for row in table["rows"] if (row["system"], row["data"]) == (name, data)]
        noted = dict.fromkeys(row["left_out"] for row in rows if row["left_out"])
        shown = name if data == "as the paper" else f"{name} ({data})"
        systems.append(
            {
                "name": shown,
                "rows": [lay_row(row, unit) for row in rows],
                "notes": [f"Left out or smaller: {text}" for text in noted],
            }
        )
    heads = ("", f"paper, {unit}", f"ours, {unit}", "95 %", "interval of", "time of one", "")
    return {key: table[key] for key in ("name", "title", "about", "sentences")} | {
        "heads": heads,
        "systems": systems,
        "figures": [
            {"source": _embed(folder / one["path"]), "caption": one["caption"]}
            for one in table["figures"]
        ],
    }


def lay_row(row: dict[str, Any], unit: str) -> list[str]:
    """Cells of a line: label, paper, ours, its interval, what that is of, time, note."""
    paper = "–" if row["paper"] is None else f"{row['paper']:,.6g}"
    spread = "" if row["paper_spread"] is None else f" ± {row['paper_spread']:g}"
    seconds = "–" if row["seconds"] is None else duration(row["seconds"])
    ends = (row["low"], row["high"])
    interval = "–" if None in ends else " to ".join(_show(end, unit) for end in ends)
    ours = "–" if row["ours"] is None else _show(row["ours"], unit)
    return [row["row"], paper + spread, ours, interval, row["interval_of"], seconds, row["note"]]


def _show(value: float, unit: str) -> str:
    return f"{100 * value:.2f}" if unit == "%" else f"{value:,.2f}"
