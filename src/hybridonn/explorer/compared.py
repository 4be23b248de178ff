"""Runs side by side: numbers with intervals, what differs in their specs, curves, figures."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hybridonn.core.errors import ArtefactError
from hybridonn.explorer.chart import Point, Series, draw_chart
from hybridonn.reports.artefacts.run import Run, read_run
from hybridonn.reports.formats import flatten, number, percent, signed, signed_span, span
from hybridonn.reports.page import list_tiles
from hybridonn.reports.statistics import score_difference
from hybridonn.reports.tables.studies import DASH, Table

MOST = 6  # runs side by side
SHOWN = re.compile(r"(kernels|confusion|iou)(-\d+)?\.svg")  # figures of a run that are compared


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Attributes:
        names: Names of the runs, one a column.
        numbers: Their key numbers, a row a number.
        differences: Against the first run, on the same test images.
        spec: Keys of the spec in which they differ.
        curves: Validation by epoch, SVG or a sentence.
        figures: Figures of each run, as paths below its folder.
    """

    names: tuple[str, ...]
    numbers: Table
    differences: Table
    spec: Table
    curves: str
    figures: Mapping[str, tuple[str, ...]]


def compare_runs(folders: Mapping[str, Path]) -> Comparison:
    """Compare finished runs.

    Args:
        folders: Folders by the names of the runs, two or more.

    Raises:
        ArtefactError: There are fewer than two or too many, or one is no finished run.
    """
    if not 2 <= len(folders) <= MOST:
        raise ArtefactError(f"{len(folders)} runs are chosen; choose 2 to {MOST} to compare")
    runs = {name: read_run(folder) for name, folder in folders.items()}
    return Comparison(
        tuple(runs),
        _tabulate_numbers(runs),
        _tabulate_differences(runs),
        _tabulate_spec(runs),
        draw_runs({name: _rates(run) for name, run in runs.items()}),
        {name: list_shown(folder) for name, folder in folders.items()},
    )


def list_shown(folder: Path) -> tuple[str, ...]:
    """The drawn figures of a run that are compared, as paths below its folder."""
    found = sorted((folder / "figures").glob("*.svg"))
    return tuple(f"figures/{path.name}" for path in found if SHOWN.fullmatch(path.name))


def _tabulate_numbers(runs: Mapping[str, Run]) -> Table:
    cells = {
        name: {
            "data": str(run.record["data"].get("name", "")),
            "method": str(run.results["student"].get("method", DASH)),
            "test images": number(run.models["student"].predictions.total),
        }
        | {what: f"{value} {_bracket(note)}".strip() for what, value, note in list_tiles(run)}
        | _estimate(run)
        for name, run in runs.items()
    }
    keys = list(dict.fromkeys(key for one in cells.values() for key in one))
    rows = [(key, *(one.get(key, DASH) for one in cells.values())) for key in keys]
    note = "Intervals of 95 %: how far chance in the choice of test images may move a number."
    return Table("Numbers", ("", *runs), rows, note)


def _bracket(note: str) -> str:
    return f"({note.removeprefix('95 %: ')})" if note.startswith("95 %: ") else ""


def _estimate(run: Run) -> dict[str, str]:
    if run.estimate is None:
        return {}
    one = run.estimate
    ends = span(one.interval, one.test_images)
    return {"estimate before training": f"{percent(one.value, one.test_images)} ({ends})"}


def _tabulate_differences(runs: Mapping[str, Run]) -> Table:
    """Each run's student against that of the first, image by image."""
    (first, base), *others = runs.items()
    baseline = base.models["student"].predictions
    rows = []
    for name, run in others:
        found = run.models["student"].predictions
        if found.task.metric != baseline.task.metric or not np.array_equal(
            found.labels, baseline.labels
        ):
            rows.append((f"{name} − {first}", DASH, "other test images or another metric"))
            continue
        gain = score_difference(found.scores, baseline.scores)
        mean, ends = signed(gain.mean, gain.pairs), signed_span(gain, gain.pairs)
        clear = "" if gain.clear else ", not distinguishable"
        rows.append((f"{name} − {first}", f"{mean} points", f"{ends}{clear}"))
    title = f"Students against {first} on the same test images"
    return Table(title, ("", "difference", "95 % interval"), rows)


def _tabulate_spec(runs: Mapping[str, Run]) -> Table:
    flat = {name: dict(flatten(run.spec.model_dump(mode="json"))) for name, run in runs.items()}
    keys = dict.fromkeys(key for one in flat.values() for key in one)
    rows = [
        (key, *(number(one.get(key)) for one in flat.values()))
        for key in keys
        if any(one.get(key) != next(iter(flat.values())).get(key) for one in flat.values())
    ]
    return Table("Where the specs differ", ("key", *runs), rows)


def _rates(run: Run) -> tuple[str, tuple[dict[str, float], ...]]:
    table, column = run.models["student"].history, f"validation_{run.task.metric}"
    rows = zip(table["epoch"], table.get(column, ()), strict=False)
    return run.task.label, tuple({"epoch": epoch, column: value} for epoch, value in rows)


def draw_runs(histories: Mapping[str, tuple[str, Sequence[Mapping[str, float]]]]) -> str:
    """The validation metric by epoch of several runs, as SVG.

    Args:
        histories: By run the label of its metric, and rows with ``epoch`` and a column that begins
            with ``validation_`` and is no loss.
    """
    labels = dict.fromkeys(label for label, _ in histories.values())
    series = [Series(name, _list_points(rows)) for name, (_, rows) in histories.items()]
    title = f"validation {' or '.join(labels)} (%)"
    return draw_chart(series, "epoch", title, f"{title} by epoch of {', '.join(histories)}")


def _list_points(rows: Sequence[Mapping[str, float]]) -> tuple[Point, ...]:
    found = []
    for place, row in enumerate(rows, 1):
        for key, value in row.items():
            if key.startswith("validation_") and key != "validation_loss":
                found.append(Point(float(row.get("epoch", place)), 100 * float(value)))
                break
    return tuple(found)
