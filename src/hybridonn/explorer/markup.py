"""HTML of tables, in which every text is text."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path
from urllib.parse import urlencode

from hybridonn.reports.tables.studies import Table


def render_table(table: Table) -> str:
    """A table with its title as caption, which scrolls within its own width."""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in table.head)
    rows = "".join(f"<tr>{_render_row(row)}</tr>" for row in table.rows)
    if not table.rows:
        rows = f'<tr><td colspan="{len(table.head)}">none</td></tr>'
    note = f"<p>{escape(table.note)}</p>" if table.note else ""
    return (
        f'<div class="sheet" tabindex="0" role="region" aria-label="{escape(table.title)}">'
        f"<table><caption>{escape(table.title)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>{note}"
    )


def _render_row(row: Iterable[str]) -> str:
    first, *rest = map(escape, row)
    return f'<th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in rest)


def link_file(run: str, path: str) -> str:
    """The address of a file of a run on this page."""
    return f"/file?{urlencode({'run': run, 'path': path})}"


def render_figures(name: str, figures: Iterable[str]) -> str:
    """The figures of a run below its name."""
    shown = "".join(
        f'<img src="{escape(link_file(name, path))}" loading="lazy" '
        f'alt="{escape(f"{Path(path).stem} of {name}")}">'
        for path in figures
    )
    return f"<figure><figcaption>{escape(name)}</figcaption>{shown or '<p>no figure</p>'}</figure>"
