"""What the commands show on the screen: bars with the time left, and tables."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybridonn.cli.output import current, keep, say
from hybridonn.cli.summary import name_metric, summarise
from hybridonn.cli.values import show
from hybridonn.core.stage_record import say_stage

if TYPE_CHECKING:
    from hybridonn.pipeline.forecast import ForecastStage


class _Bars:
    """The progress that the pipeline talks to, as bars of rich."""

    def __init__(self, bars: Any) -> None:
        self._bars = bars

    @contextmanager
    def bar(self, label: str, total: float, done: float = 0) -> Iterator[Callable[..., None]]:
        task = self._bars.add_task(label, total=total, completed=done, note="")
        yield lambda steps=1, note="": self._bars.update(task, advance=steps, note=note)

    def say(self, line: str) -> None:
        if not current().quiet:
            self._bars.console.print(line, style="dim", highlight=False)


def open_console(stderr: bool = False, width: int | None = None) -> Any:
    """A console of rich that shows every text as it is.

    Brackets are no markup and ``:smile:`` is no emoji: names of classes, files and folders may
    hold them.

    Args:
        stderr: Whether it writes on the error stream.
        width: Its columns. None: those of the terminal.
    """
    from rich.console import Console

    return Console(stderr=stderr, width=width, markup=False, emoji=False)


@contextmanager
def show_bars() -> Iterator[_Bars]:
    """Bars on the error stream for as long as the context lasts."""
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.table import Column
    from rich.text import Text

    class Left(TimeRemainingColumn):
        """The time that is left, with the word; nothing of a task that is done."""

        def render(self, task: Any) -> Text:
            return Text("") if task.finished else super().render(task) + Text(" left")

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        # The times are what the bar is for: a narrow terminal cuts words and bar instead.
        TextColumn("{task.percentage:>3.0f} %", table_column=Column(min_width=5, no_wrap=True)),
        TimeElapsedColumn(table_column=Column(min_width=7, no_wrap=True)),
        Left(table_column=Column(min_width=12, no_wrap=True)),
        TextColumn("{task.fields[note]}", style="dim", markup=False),
    )
    console = open_console(stderr=True)
    with Progress(*columns, console=console, disable=current().quiet) as bars:
        yield _Bars(bars)


def show_table(table: Any) -> None:
    """Print a table of rich where text is printed.

    In a pipe or a file no terminal sets the width, so that rows are whole up to ``PIPE_WIDTH``.
    """
    if not current().has_text:
        return
    console = open_console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = open_console(width=PIPE_WIDTH)
    anywhere = console.options.update(max_width=10 * PIPE_WIDTH)
    if console.measure(table, options=anywhere).minimum > console.width:
        _narrow(table)
    console.print(table)


def _narrow(table: Any) -> None:
    """Take away what is between the columns of a table whose words would be broken."""
    from rich.box import SIMPLE_HEAD

    table.box, table.padding, table.show_edge = SIMPLE_HEAD, 0, False


def print_table(
    title: str,
    results: dict[str, Any],
    choose: Callable[[dict[str, Any]], list[tuple[str, str]]] = summarise,
) -> None:
    """Print what matters of the numbers of a run; all of them with ``--verbose``.

    Args:
        title: What the numbers are of.
        results: The numbers by stage, as in ``results.json``.
        choose: Picks what matters: names and lines, in words.
    """
    keep(results)
    if current().verbose:
        _print_all(title, results)
        return
    if not current().has_text:
        return
    rows, metric = choose(results), name_metric(results)
    width = max((len(name) for name, _ in rows), default=0)
    print(f"{title}: {metric} on the test images" if metric else title)  # noqa: T201
    for name, line in rows:
        print(f"  {name:{width}}  {line}")  # noqa: T201


def _print_all(title: str, results: dict[str, Any]) -> None:
    """Print every number, a section a stage; long values such as hashes are not cut."""
    from rich.table import Table

    from hybridonn.reports.formats import flatten

    table = Table(title=title, title_style="bold")
    table.add_column("number", overflow="fold")
    table.add_column("value", justify="right", overflow="fold")
    for stage, numbers in results.items():
        table.add_section()
        for key, value in flatten(numbers, stage):
            table.add_row(key, show(key, value))
    show_table(table)


def print_forecast(folder: Path, stages: Sequence[ForecastStage]) -> None:
    """Print what a run would do: a line a stage, and about how long all of them take.

    Args:
        folder: The run folder.
        stages: From :func:`hybridonn.pipeline.forecast.forecast`.
    """
    from hybridonn.reports.formats import duration

    keep({one.name: {"state": one.state, "seconds": one.seconds} for one in stages})
    if not current().has_text:
        return
    width = max(len(one.name) for one in stages)  # a stage in words is as long as its name
    say(f"{folder}: nothing was done (dry run)")
    for one in stages:
        state = f"{STATES[one.state]:{STATE_WIDTH}}"
        say(f"  {say_stage(one.name):{width}}  {state}  {_say_expected(one)}".rstrip())
    known = [one.seconds for one in stages if one.seconds is not None]
    open_ones = [say_stage(one.name) for one in stages if one.seconds is None]
    total = f"about {duration(_round(sum(known)))}, by earlier runs of these images and networks"
    rest = f"no earlier run tells how long {', '.join(open_ones)} would take"
    say("; ".join([*([total] if sum(known) else []), *([rest] if open_ones else [])]) or "all kept")


STATES = {
    "kept": "kept from before",
    "copied": "copied from the cache",
    "continued": "goes on",
    "new": "to do",
}
STATE_WIDTH = max(map(len, STATES.values()))


def _say_expected(stage: ForecastStage) -> str:
    from hybridonn.reports.formats import duration

    if not stage.seconds:
        return ""
    return f"about {duration(_round(stage.seconds))}"


def _round(seconds: float) -> float:
    return float(f"{seconds:.2g}")  # what an earlier run tells is no more exact


def print_comparison(comparison: dict[str, Any]) -> None:
    """Print means and deviations by method or optics, then the paired differences."""
    keep(comparison)
    from rich.table import Table

    seeds, varied = say_seeds(comparison["seeds"]), comparison.get("compared", "method")
    table = Table(title=f"{comparison['design']}: {comparison['label']} in %, {seeds}")
    for column in (varied, "mean", "95 % from", "to", "standard deviation", "lowest", "highest"):
        table.add_column(column, justify="left" if column == varied else "right")
    for method in comparison["methods"].values():
        values = method["values"]
        keys = ("mean", "low", "high", "standard_deviation")
        numbers = (*(method[key] for key in keys), min(values), max(values))
        table.add_row(method["label"], *("-" if n is None else f"{100 * n:.2f}" for n in numbers))
    show_table(table)
    if varied == "optics":
        _print_sizes(comparison["methods"])
    for line in comparison["sentences"]:
        say(line)


def say_seeds(seeds: list[int]) -> str:
    """How many paired seeds a table is of."""
    return f"{len(seeds)} paired seed{'s' * (len(seeds) > 1)}"


HEADERS = {"macs": "MACs"}
NAME_WIDTH = 30  # a longer name is folded: in 80 columns it would leave no room for the others
PIPE_WIDTH = 120


def print_rows(
    title: str, rows: list[dict[str, Any]], headers: Mapping[str, str] = HEADERS
) -> None:
    """Print rows as a table; its columns are all keys in the order of their first appearance.

    Args:
        title: What the rows are of.
        rows: Values by key.
        headers: What is written above columns, where it is not their key in words.
    """
    current().document.setdefault("tables", []).append({"title": title, "rows": rows})
    from rich.table import Table

    table = Table(title=title, title_style="bold")
    columns = list(dict.fromkeys(key for row in rows for key in row))
    numbers = {key for row in rows for key, value in row.items() if isinstance(value, int | float)}
    for column in columns:
        justify = "right" if column in numbers else "left"
        header = headers.get(column, column.replace("_", " "))
        # A name is copied into a spec or a command: other columns give way to it.
        whole = column == "name" and all(len(str(row["name"])) <= NAME_WIDTH for row in rows)
        table.add_column(header, justify=justify, overflow="fold", no_wrap=whole)
    for row in rows:
        table.add_row(*(show(key, row[key]) if key in row else "" for key in columns))
    show_table(table)


def print_line(row: dict[str, Any]) -> None:
    """Print one row at once: as JSON, or its values in words, with two spaces between them."""
    import json

    if current().quiet:
        return
    whole = current().as_json
    line = json.dumps(row) if whole else "  ".join(_tell(*cell) for cell in row.items())
    print(line, flush=True)  # noqa: T201


def _tell(key: str, value: Any) -> str:
    """A value of an answered file: shares in per cent with their class, times with their unit."""
    if key == "milliseconds":
        return f"{value:.3g} ms"
    if key == "confidence":
        return f"{100 * value:.1f} %"
    if key.startswith("share_"):
        return f"{key.removeprefix('share_')} {100 * value:.1f} %"
    if key.startswith("count_"):
        return f"{key.removeprefix('count_')} {value}"
    return str(value)


def _print_sizes(optics: dict[str, dict[str, Any]]) -> None:
    """Print the metric behind a perfect camera, and what each optics leaves to the backend."""
    from rich.table import Table

    table = Table()
    columns = ("optics", "perfect camera", "kernels", "pixels read out", "parameters", "MACs")
    for column in columns:
        table.add_column(column, justify="left" if column == "optics" else "right")
    keys = ("kernels", "read_out_pixels", "digital_parameters", "macs")
    for one in optics.values():
        sizes = (f"{one[key]:,}" for key in keys)
        table.add_row(one["label"], f"{100 * one['perfect_camera']:.2f}", *sizes)
    show_table(table)
