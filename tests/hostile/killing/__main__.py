"""The command ``make kill``: kills at file events and full disks, then the same command again.

Prints a line a trial and writes a table; ends with status 1 if a weight differs, a file is missing
or left over, or a command fails afterwards. What a faulty trial has left is kept.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from killing.events import Full, Kill
from killing.scenarios import Scenario, list_scenarios, warm_up
from killing.trials import Reference, Trial, disturb, plan, plan_full_disks, run_undisturbed

ROOT = Path(__file__).resolve().parents[3]


def main() -> int:
    """Parse the command line and kill."""
    parser = argparse.ArgumentParser(prog="killing", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="by default all")
    parser.add_argument("--kills", type=int, default=100, help="in all")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "kill")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--full-disks", type=int, default=24, help="in all")
    stated = parser.parse_args()
    shutil.rmtree(stated.out, ignore_errors=True)
    warm_up(stated.out / "prepared")
    scenarios = list_scenarios(stated.out / "prepared")
    if stated.scenarios:
        scenarios = [each for each in scenarios if each.name in stated.scenarios]
    began, rows = time.perf_counter(), []
    for scenario in scenarios:
        counts = [max(1, round(n * scenario.share)) for n in (stated.kills, stated.full_disks)]
        rows.append(run_scenario(scenario, *counts, stated.out, max(1, stated.workers or 1)))
    _write(stated.out / "table.csv", rows)
    faults = sum(row["faulty_trials"] for row in rows)
    kills, full = (sum(row[name] for row in rows) for name in ("kills", "full_disks"))
    seconds = time.perf_counter() - began
    print(f"{kills} kills, {full} full disks, {faults} faulty trials, {seconds:.0f} s")
    return int(faults > 0)


def run_scenario(
    scenario: Scenario, kills: int, full_disks: int, out: Path, workers: int
) -> dict[str, object]:
    """All trials of one command; a row of the table."""
    place = out / scenario.name.replace(" ", "-")
    reference = run_undisturbed(scenario, place / "undisturbed")
    plans = plan(reference.events, kills, scenario.name)
    plans += plan_full_disks(reference.events, full_disks)
    print(f"{scenario.name}: {reference.events} file events, {kills} kills", flush=True)
    trials = []
    for number, trial in _share_out(scenario, reference, plans, place, workers):
        trials.append(trial)
        at = " and ".join(map(str, trial.disturbances))
        verdict = "; ".join(trial.faults) or "the same"
        print(f"  trial {number + 1}/{len(plans)}, {at}: {verdict}", flush=True)
    met = [each for trial in trials for each in trial.disturbances]
    return {
        "command": scenario.name,
        "file_events": reference.events,
        "trials": len(trials),
        "kills": sum(isinstance(each, Kill) for each in met),
        "full_disks": sum(isinstance(each, Full) for each in met),
        "faulty_trials": sum(bool(trial.faults) for trial in trials),
    }


def _share_out(scenario: Scenario, reference: Reference, plans: list, place: Path, workers: int):
    """Trials as they end, with their numbers."""
    shared = (scenario, reference, plans, place)
    with ProcessPoolExecutor(
        workers, get_context("fork"), initializer=_remember, initargs=(shared,)
    ) as pool:
        yield from enumerate(pool.map(_try_one, range(len(plans))))


_SHARED: list = []


def _remember(shared: tuple) -> None:
    _SHARED[:] = shared


def _try_one(number: int) -> Trial:
    scenario, reference, plans, place = _SHARED
    return disturb(scenario, reference, plans[number], place / f"trial-{number + 1}")


def _write(path: Path, rows: list[dict]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    sys.exit(main())
