"""The tab of runs: a table to sort and filter, runs side by side, and one that is under way."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any

from hybridonn.core.stage_record import say_stage
from hybridonn.explorer.activity import Progress, read_progress
from hybridonn.explorer.compared import Comparison, compare_runs, draw_runs
from hybridonn.explorer.markup import link_file, render_figures, render_table
from hybridonn.explorer.row import RUNNING, Row
from hybridonn.explorer.run_table import RunTable
from hybridonn.explorer.saying import Notice
from hybridonn.reports.formats import duration, moment, percent, span
from hybridonn.reports.studies import PAGE
from hybridonn.reports.tables.studies import DASH

REFRESH_S, FOLLOW_S = 5.0, 1.0
COLUMNS = (
    ("name", "Name", "left"),
    ("kind", "Kind", "left"),
    ("state", "State", "left"),
    ("said", "Note", "left"),
    ("data", "Data", "left"),
    ("method", "Method", "left"),
    ("value", "Student", "right"),
    ("interval", "95 %", "right"),
    ("metric", "Metric", "left"),
    ("teacher", "Teacher", "right"),
    ("estimate", "Estimate", "right"),
    ("kernels", "Kernels", "right"),
    ("parameters", "Digital parameters", "right"),
    ("seconds", "Time", "right"),
    ("finished", "Finished", "left"),
)
SHARES = ("value", "teacher", "estimate")
# A column that begins with a colon is JavaScript.
SHOW_SHARE = 'share => share == null ? "–" : (100 * share).toFixed(2) + " %"'
SHOW_COUNT = 'count => count == null ? "–" : count.toLocaleString("en")'
SHOW_TIME = (
    's => s == null ? "–" : s < 120 ? s.toFixed(0) + " s" : s < 7200 '
    '? (s / 60).toFixed(0) + " min" : (s / 3600).toFixed(1) + " h"'
)
FORMATS = {
    **dict.fromkeys(SHARES, SHOW_SHARE),
    **dict.fromkeys(("kernels", "parameters"), SHOW_COUNT),
    "seconds": SHOW_TIME,
}
CHOOSE = """<q-checkbox dense v-model="props.selected"
  :aria-label="'choose ' + props.row.name" />"""
NAME = """<q-td :props="props"><a v-if="props.row.report" :href="props.row.report" target="_blank"
  rel="noopener" :aria-label="'report of ' + props.value">{{ props.value }}</a>
  <span v-else>{{ props.value }}</span></q-td>"""
STATE = """<q-td :props="props"><span :class="'state ' + props.value">{{ props.value }}</span>
  </q-td>"""
NOTE = """<q-td :props="props"><span class="note" :title="props.value">{{ props.value }}</span>
  </q-td>"""


def describe_columns() -> list[dict[str, Any]]:
    """The columns of the table, each sortable."""
    found = []
    for name, label, side in COLUMNS:
        column = {"name": name, "label": label, "field": name, "align": side, "sortable": True}
        found.append(column | ({":format": FORMATS[name]} if name in FORMATS else {}))
    return found


def describe_row(row: Row) -> dict[str, Any]:
    """A row as the table of the page takes it; numbers stay numbers, so that they sort."""
    ends = None if row.low is None or row.high is None else (row.low, row.high)
    cells = asdict(row) | {"interval": "" if ends is None else span(ends, 1000)}
    cells |= {"finished": moment(row.finished), "report": None}
    return cells | ({"report": link_file(row.name, PAGE)} if row.has_report else {})


class RunsTab:
    """The tab in one browser.

    Args:
        table: The rows.
    """

    def __init__(self, table: RunTable) -> None:
        self._table = table
        self._rows: dict[str, Row] = {}

    def build(self) -> None:
        """Put the tab together."""
        from nicegui import ui

        ui.html("<h2>Runs and studies</h2>", sanitize=False)
        with ui.row().classes("bar"):
            filter_ = ui.input("Filter").props("dense clearable outlined debounce=150")
            ui.button("Compare", on_click=self._compare).props("no-caps unelevated")
            ui.button("Follow", on_click=self._follow).props("no-caps outline")
            ui.button("Reload", on_click=self._load).props("no-caps flat")
        self._notice = Notice()
        self._grid = ui.table(
            columns=describe_columns(),
            rows=[],
            row_key="name",
            selection="multiple",
            pagination={"rowsPerPage": 25, "sortBy": "finished", "descending": True},
        ).props('dense flat bordered no-data-label="no run here" aria-label="Runs and studies"')
        for name, slot in (("name", NAME), ("state", STATE), ("said", NOTE)):
            self._grid.add_slot(f"body-cell-{name}", slot)
        self._grid.add_slot("body-selection", CHOOSE)
        filter_.bind_value(self._grid, "filter")
        self._shown = ui.column().classes("shown").props('aria-live="polite"')
        ui.timer(REFRESH_S, self._refresh)
        ui.timer(0.01, self._load, once=True)

    async def _load(self) -> None:
        """Read the rows anew."""
        from nicegui import run

        with self._notice.guard():
            rows = await run.io_bound(self._table.list_rows) or []
            if {row.name: row for row in rows} != self._rows:
                self._rows = {row.name: row for row in rows}
                self._grid.update_rows([describe_row(row) for row in rows], clear_selection=False)

    async def _refresh(self) -> None:
        """Read the rows anew while one is under way."""
        if any(row.state == RUNNING for row in self._rows.values()):
            await self._load()

    def _list_chosen(self) -> list[str]:
        return [row["name"] for row in self._grid.selected]

    async def _compare(self) -> None:
        from nicegui import run

        with self._notice.guard():
            folders = {name: self._table.folder(name) for name in self._list_chosen()}
            found = await run.io_bound(compare_runs, folders)
            assert found is not None
            self._shown.clear()
            with self._shown:
                _show_comparison(found)

    def _follow(self) -> None:
        from nicegui import ui

        with self._notice.guard():
            names = self._list_chosen()
            if len(names) != 1:
                self._notice.say(f"{len(names)} rows are chosen; choose one to follow")
                return
            self._shown.clear()
            with self._shown:
                view = ui.html("", sanitize=False)
                ui.timer(FOLLOW_S, partial(self._look, names[0], view))

    async def _look(self, name: str, view: Any) -> None:
        """Show how far a run has come."""
        from nicegui import run

        with self._notice.guard():
            folder = self._table.folder(name)
            found = await run.io_bound(read_progress, folder)
            assert found is not None
            view.set_content(render_progress(name, found))


def _show_comparison(found: Comparison) -> None:
    from nicegui import ui

    ui.html(f"{render_table(found.numbers)}{render_table(found.differences)}", sanitize=False)
    ui.html(f"<h3>Training</h3>{found.curves}", sanitize=False)
    figures = "".join(render_figures(name, paths) for name, paths in found.figures.items())
    title = "<h3>Kernels, and what is confused</h3>"
    ui.html(f'{title}<div class="figures">{figures}</div>', sanitize=False)
    ui.html(render_table(found.spec), sanitize=False)


def render_progress(name: str, found: Progress) -> str:
    """How far a run has come, as HTML.

    Args:
        name: Name of the run.
        found: Its stages and its training.
    """
    from html import escape

    done = "".join(
        f"<li>{escape(say_stage(one))}: {duration(s)}</li>" for one, s in found.done.items()
    )
    parts = [f"<h3>{escape(name)}</h3><ul>{done}</ul>"]
    if found.rows is not None:
        parts.append(f"<p>{found.rows:,} rows of the study are finished.</p>")
    if found.stage:
        parts.append(f"<p>Under way: {escape(say_stage(found.stage))}{_say_epoch(found)}</p>")
    if found.epoch is not None and found.epochs:
        share = min(1.0, found.epoch / found.epochs)
        label = f"{percent(share, 1)} of the epochs of {say_stage(found.stage)}"
        parts.append(f'<progress max="1" value="{share:.3f}" aria-label="{escape(label)}">')
        parts.append(f"{label}</progress>")
    if found.history:
        parts.append(draw_runs({found.stage: ("metric", found.history)}))
    if not (found.stage or found.done or found.rows):
        parts.append("<p>Nothing is finished yet.</p>")
    return "".join(parts)


def _say_epoch(found: Progress) -> str:
    if found.epoch is None:
        return "."
    return f", epoch {found.epoch} of {found.epochs or DASH}, as of its last checkpoint."
