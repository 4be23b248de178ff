"""Measures tables of the paper and writes our numbers beside its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hybridonn.core.errors import ArtefactError, DataError
from hybridonn.core.files import read_json, write_json, write_table
from hybridonn.core.progress import Progress, Silent
from hybridonn.reports.reproduction import write_reproduction
from hybridonn.reports.statistics import mean_interval, wilson_interval
from hybridonn.studies.engine import StudyError
from hybridonn.studies.reproduce.found import Call, Found, Measured
from hybridonn.studies.reproduce.kinds import KINDS
from hybridonn.studies.reproduce.plan import Planned, make_plan
from hybridonn.studies.reproduce.preparation import prepare
from hybridonn.studies.reproduce.record import Row, Table
from hybridonn.studies.reproduce.tables import TABLES
from hybridonn.studies.workers import HERE, Workers

KEPT = "reproduction.json"


def reproduce(
    tables: Sequence[Table],
    quick: bool,
    folder: Path,
    data_root: Path | None = None,
    progress: Progress | None = None,
    workers: Workers = HERE,
) -> list[dict[str, Any]]:
    """Measure tables of the paper; interrupted and called again, it goes on where it was.

    A part whose data cannot be had is left out and named; a part of which runs failed does not
    keep the others from being measured. The page shows all tables that were measured into the
    folder.

    Args:
        tables: The tables.
        quick: Whether the quick sizes are taken.
        folder: Where the studies of the parts, the page and the table go.
        data_root: Where named data sets lie.
        progress: Shows how far it is.
        workers: Who does the runs.

    Returns:
        The tables as ``reproduction.json`` holds them, those that were asked for.

    Raises:
        ArtefactError: The folder holds a reproduction of the other size, or something else.
        StudyError: Runs failed; all other parts are measured.
    """
    progress = progress or Silent()
    kept = _open(folder, quick)
    faults: list[str] = []
    plan = make_plan(tables, quick, data_root)
    prepare(plan, quick, folder, data_root, progress, workers)
    for table in tables:
        rows: list[dict[str, Any]] = []
        sentences: list[str] = []
        figures: list[dict[str, str]] = []
        for one in plan[table.name]:
            progress.say(f"{table.name}: {one.part.system}")
            call = Call(folder / one.part.name, data_root, progress, workers)
            found, missing = _measure(one, call, faults)
            rows += [_describe(one, row, found, missing) for row in one.part.rows]
            sentences += [f"{one.part.system}: {line}" for line in found.sentences]
            figures += [
                {"path": str(path.relative_to(folder)), "caption": caption}
                for path, caption in found.figures
            ]
            kept[table.name] = _tell(table) | {
                "rows": list(rows),
                "sentences": list(sentences),
                "figures": list(figures),
            }
            _write(folder, quick, kept)
    if faults:
        raise StudyError(f"{'; '.join(faults)}. All other parts are in {folder}")
    return [kept[one.name] for one in tables]


def _measure(one: Planned, call: Call, faults: list[str]) -> tuple[Found, str]:
    """What a part shows, and why it shows nothing."""
    if one.size is None:
        return Found({}), one.left_out
    try:
        kind = KINDS[one.part.study]
        return kind.measure(one.part, one.size, one.rows, one.read_spec(), call), ""
    except DataError as error:
        call.progress.say(f"{one.part.system} is left out: {error}")
        return Found({}), f"the data cannot be had: {error}"
    except StudyError as error:
        faults.append(f"{one.part.name}: {error}")
        return Found({}), f"runs failed: {error}"


def _describe(one: Planned, row: Row, found: Found, missing: str) -> dict[str, Any]:
    """A line of the page and of the table."""
    ours = found.rows.get(row.key)
    told = {
        "system": one.part.system,
        "row": row.label,
        "data": one.part.data or "as the paper",
        "paper": row.paper,
        "paper_spread": row.spread,
    }
    if ours is None:
        why = missing or one.left_out or "not measured"
        empty = dict.fromkeys(("ours", "low", "high", "spread", "seconds"))
        return told | empty | {"trials": 0, "interval_of": "", "note": "", "left_out": why}
    return told | _summarise(ours) | {"note": ours.note, "left_out": one.left_out}


def _summarise(ours: Measured) -> dict[str, Any]:
    """Mean and 95 % interval: over seeds, draws or chips, or, of one, over its test images."""
    values = np.array(ours.values)
    spread, low, high, of = None, None, None, ""
    if len(values) > 1:
        low, high = mean_interval(values)
        spread, of = float(values.std(ddof=1)), f"{len(values)} trials"
    elif ours.images is not None:
        low, high = wilson_interval(round(float(values[0]) * ours.images), ours.images)
        of = f"{ours.images:,} test images"
    return {
        "ours": float(values.mean()),
        "low": low,
        "high": high,
        "spread": spread,
        "seconds": ours.seconds,
        "trials": len(values),
        "interval_of": of,
    }


def _tell(table: Table) -> dict[str, Any]:
    return {key: getattr(table, key) for key in ("name", "title", "about", "unit")}


def _open(folder: Path, quick: bool) -> dict[str, dict[str, Any]]:
    """The tables that a folder holds, by name.

    Raises:
        ArtefactError: It holds those of the other size, or something else.
    """
    if folder.is_dir() and any(folder.iterdir()):
        if not (folder / KEPT).is_file():
            raise ArtefactError(
                f"{folder} is not empty and holds no {KEPT}, so it is of another command; choose "
                "another folder with --out"
            )
        tree = read_json(folder / KEPT)
        if tree.get("quick") != quick:
            there, here = ("with", "without") if tree.get("quick") else ("without", "with")
            raise ArtefactError(
                f"{folder} was measured {there} --quick, and this command is {here} it; choose "
                "another folder with --out"
            )
        return {one["name"]: one for one in tree["tables"]}
    _write(folder, quick, {})
    return {}


def _write(folder: Path, quick: bool, kept: dict[str, dict[str, Any]]) -> None:
    order = [*TABLES, *(name for name in kept if name not in TABLES)]
    tables = [kept[name] for name in order if name in kept]
    write_json(folder / KEPT, {"quick": quick, "tables": tables})
    if tables:
        write_table(
            folder / "reproduction.csv",
            [
                {"table": one["name"], "unit": one["unit"]} | row
                for one in tables
                for row in one["rows"]
            ],
        )
        write_reproduction(folder)
