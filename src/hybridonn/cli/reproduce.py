"""The command ``hybridonn reproduce``: the paper's tables, measured again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hybridonn.cli.options import DataRoot, StudyOut, calm_threads, on_workers
from hybridonn.cli.output import keep, say
from hybridonn.cli.screen import show_bars, show_table
from hybridonn.studies.reproduce.tables import ALL, TABLES, choose_tables
from hybridonn.studies.workers import Workers


@on_workers
def reproduce(
    tables: Annotated[
        list[str],
        typer.Argument(metavar="TABLES", help=f"{', '.join(TABLES)}, or {ALL}."),
    ],
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="Measure less, in an hour on two cores; what is left out is said."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done and what it costs; no more.")
    ] = False,
    out: StudyOut = None,
    data_root: DataRoot = None,
    *,
    workers: Workers,
) -> None:
    """Measure tables and figures of the paper again and write our numbers beside its own."""
    from hybridonn.studies.reproduce.plan import make_plan, say_cost

    chosen = choose_tables(tables)
    folder = out or Path("runs") / ("reproduce-quick" if quick else "reproduce")
    for line in say_cost(make_plan(chosen, quick, data_root), workers.count or 1):
        say(line)
    if dry_run:
        return
    calm_threads()
    from hybridonn.studies.reproduce.reproduce import reproduce as measure

    with show_bars() as progress:
        found = measure(chosen, quick, folder, data_root, progress, workers)
    keep(found)
    for table in found:
        _print_table(table)
    say(folder / "reproduction.html")


def _print_table(found: dict[str, Any]) -> None:
    from rich.table import Table

    from hybridonn.reports.reproduction import lay_row

    table = Table(title=found["title"], title_style="bold")
    for column in ("", f"paper, {found['unit']}", f"ours, {found['unit']}", "95 %"):
        table.add_column(column, justify="right" if column else "left")
    system = ""
    for row in found["rows"]:
        if row["system"] != system:
            system = row["system"]
            table.add_section()
            table.add_row(system)
        label, *numbers = lay_row(row, found["unit"])
        table.add_row(f"  {label}", *numbers[:3])
    show_table(table)
    for line in found["sentences"]:
        say(line)
