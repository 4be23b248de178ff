"""Makes teachers, targets and runs of several parts side by side, before the parts are measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybridonn.core.errors import HybridonnError
from hybridonn.core.progress import Progress
from hybridonn.pipeline.run_folder import open_folder
from hybridonn.studies.engine import map_runs
from hybridonn.studies.inputs import pack_root, unpack_root
from hybridonn.studies.reproduce.found import Call
from hybridonn.studies.reproduce.kinds import KINDS
from hybridonn.studies.reproduce.plan import Planned, list_measured, make_plan
from hybridonn.studies.reproduce.tables import choose_tables
from hybridonn.studies.rows import name_row, open_rows
from hybridonn.studies.runs import Opened, Run, Work
from hybridonn.studies.workers import HERE, Workers

STUDY = "preparation"
OPEN = "hybridonn.studies.reproduce.preparation:open_parts"
DO = "hybridonn.studies.reproduce.preparation:prepare_part"


@dataclass(frozen=True)
class Parts:
    """What workers share that prepare parts.

    Attributes:
        planned: Parts by the name of the folder that they prepare.
        folder: Folder of the reproduction.
        data_root: Where named data sets lie.
    """

    planned: Mapping[str, Planned]
    folder: Path
    data_root: Path | None


def prepare(
    plan: Mapping[str, list[Planned]],
    quick: bool,
    folder: Path,
    data_root: Path | None,
    progress: Progress,
    workers: Workers,
) -> None:
    """Make what the runs of each part share, several parts at the same time.

    What cannot be made is left to the part itself, which meets the same error when it is measured
    and tells it.

    Args:
        plan: From :func:`hybridonn.studies.reproduce.plan.make_plan`.
        quick: Whether the quick sizes are taken.
        folder: Folder of the reproduction.
        data_root: Where named data sets lie.
        progress: Shows how far it is.
        workers: Who does it; where that is this process, nothing is gained and nothing done.
    """
    parts = list_prepared(plan)
    if workers == HERE or len(parts) < 2:
        return
    inputs = {"tables": list(plan), "quick": quick, "data_root": pack_root(data_root)}
    runs = [_list_run(name, one) for name, one in parts.items()]
    with open_folder(folder / STUDY) as own:
        rows = open_rows(own, STUDY, {"quick": quick})
        try:
            map_runs(Work(STUDY, OPEN, DO, inputs), runs, rows, None, progress, workers)
        except HybridonnError as error:
            progress.say(f"{STUDY}: {error}")


def list_prepared(plan: Mapping[str, list[Planned]]) -> dict[str, Planned]:
    """Parts whose runs share something that is made before, by the folder in which it lies.

    Args:
        plan: From :func:`hybridonn.studies.reproduce.plan.make_plan`.
    """
    found: dict[str, Planned] = {}
    for one in list_measured(plan):
        if KINDS[one.part.study].prepare is not None:
            found.setdefault(one.part.shared_folder, one)
    return found


def open_parts(inputs: dict[str, Any], folder: Path) -> Opened:
    """What workers share: the plan, which the package holds.

    Args:
        inputs: Names of the tables, the size and where data lie.
        folder: Folder of this preparation, within that of the reproduction.
    """
    root = unpack_root(inputs)
    plan = make_plan(choose_tables(inputs["tables"]), inputs["quick"], root)
    return Parts(list_prepared(plan), folder.parent, root), {"quick": inputs["quick"]}


def prepare_part(shared: Parts, arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Make what the runs of a part share; the argument ``folder`` names it.

    Raises:
        HybridonnError: It cannot be made.
    """
    one = shared.planned[arguments["folder"]]
    make = KINDS[one.part.study].prepare
    assert make is not None
    call = Call(shared.folder / one.part.name, shared.data_root, progress, HERE)
    make(one.part, one.rows, one.read_spec(), call)
    return {}


def _list_run(name: str, one: Planned) -> Run:
    assert one.size is not None
    key = name_row(name, one.part.spec, list(one.size.settings), [row.key for row in one.rows])
    return Run(key, name, {"folder": name})
