"""How much faster a study is on several workers, and what the engine itself costs.

Run ``python benchmarks/engine.py [--runs 12] [--workers 1,2] [--repeats 1] [--epochs 100] [--check]
[--set KEY.PATH=VALUE]`` on a quiet machine with two free cores. A study of students of the digits,
one a seed, is done in a new folder by each number of workers in turn; the teacher is made before.
The rows must be the same. Then runs that wait and runs without work are done, by this process and
by workers: what is left is the engine. With ``--check`` the command ends with status 1 where the
most workers were less than 1.7 times as fast as the fewest at the students.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hybridonn.core.progress import Progress, Silent
from hybridonn.spec import Spec, read_spec
from hybridonn.studies.compare import compare
from hybridonn.studies.engine import map_runs
from hybridonn.studies.rows import name_row, open_rows
from hybridonn.studies.runs import Opened, Run, Work
from hybridonn.studies.workers import HERE, Workers

ENOUGH = 1.7  # times as fast with two workers as with one


def open_nothing(inputs: dict[str, Any], folder: Path) -> Opened:
    return None, {}


def do_nothing(shared: None, arguments: dict[str, Any], progress: Progress) -> dict[str, float]:
    time.sleep(arguments["seconds"])
    return {"accuracy": 0.97, "seconds": 0.1}


def time_study(
    spec: Spec, runs: int, workers: Workers, folder: Path
) -> tuple[float, float, list[float]]:
    """Seconds of a study, CPU seconds of its workers, and the accuracies."""
    compare(spec, ("none",), 1, folder)  # the teacher and what is compiled at first use
    began, used = time.perf_counter(), count_cpu_seconds()
    found = compare(spec, ("none",), 1 + runs, folder, workers=workers)
    values = found["methods"]["none"]["values"]
    return time.perf_counter() - began, count_cpu_seconds() - used, values


def time_waiting(workers: Workers, folder: Path, runs: int, seconds: float) -> float:
    """Seconds of runs that wait in place of computing, so that other jobs do not matter."""
    folder.mkdir()
    rows = open_rows(folder, "nothing", {})
    work = Work("nothing", "engine:open_nothing", "engine:do_nothing", {})
    some = [Run(name_row(k), f"run {k}", {"seconds": seconds}) for k in range(runs)]
    began = time.perf_counter()
    map_runs(work, some, rows, None, Silent(), workers)
    return time.perf_counter() - began


def count_cpu_seconds() -> float:
    """CPU time of all workers that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def time_nothing(workers: Workers, folder: Path, empty: int) -> float:
    """Milliseconds of a run without work, the start of the workers left out."""
    folder.mkdir()
    rows, work = (
        open_rows(folder, "nothing", {}),
        Work("nothing", "engine:open_nothing", "engine:do_nothing", {}),
    )
    runs = [Run(name_row(k), f"run {k}", {"seconds": 0.0}) for k in range(10 + empty)]
    times = []
    for some in (runs[:10], runs):
        began = time.perf_counter()
        map_runs(work, some, rows, None, Silent(), workers)
        times.append(time.perf_counter() - began)
    start = times[0] if workers is not HERE else 0.0
    return 1000 * (times[1] - start) / empty


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=12)
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--scheduler", help="folder of a scheduler, for runs without work")
    parser.add_argument("--wait", type=float, default=3.0, help="seconds of runs that wait")
    parser.add_argument("--empty", type=int, default=1000, help="runs without work")
    parser.add_argument("--set", action="append", default=[], metavar="KEY.PATH=VALUE")
    parser.add_argument("--epochs", type=int, default=100, help="of a student: some seconds")
    parser.add_argument("--check", action="store_true", help=f"fail below {ENOUGH} times as fast")
    options = parser.parse_args()
    settings = (f"training.epochs={options.epochs}", *options.set)
    spec, counts = read_spec(None, settings), list(map(int, options.workers.split(",")))
    print(f"load {os.getloadavg()[0]:.2f}, {os.cpu_count()} cores, {options.runs} students")
    best: dict[int, float] = {}
    known = None
    with TemporaryDirectory(ignore_cleanup_errors=True) as home:
        os.environ["HYBRIDONN_CACHE"] = str(Path(home) / "cache")
        for repeat in range(options.repeats if options.runs else 0):
            for count in counts:
                place = Path(home) / f"{repeat}-{count}"
                seconds, cpu, found = time_study(spec, options.runs, Workers(count), place)
                assert known in (None, found), "the rows differ"
                known, best[count] = found, min(seconds, best.get(count, seconds))
                print(f"{count} workers: {seconds:.1f} s, {cpu:.1f} s of CPU", flush=True)
        for count in counts[1:] if options.runs else ():
            print(
                f"{count} workers / {counts[0]}: {best[counts[0]] / best[count]:.2f} times as fast"
            )
        if options.wait:
            waits = [
                time_waiting(Workers(count), Path(home) / f"wait-{count}", 12, options.wait)
                for count in counts
            ]
            said = ", ".join(f"{one:.1f} s" for one in waits)
            ratio = waits[0] / waits[-1]
            print(
                f"12 runs that wait {options.wait:g} s, {counts}: {said}; {ratio:.2f} times as fast"
            )
        asked = {"here": HERE, "2 workers": Workers(2)}
        if options.scheduler:
            asked["cluster"] = Workers(scheduler=str(Path(options.scheduler).absolute()))
        for name, workers in asked.items():
            milliseconds = time_nothing(workers, Path(home) / name, options.empty)
            print(f"a run without work, {name}: {milliseconds:.1f} ms")
        some = next((Path(home) / "here" / "rows").glob("*/*.json"))
        print(
            f"a row on disk: {some.stat().st_size} bytes, {json.loads(some.read_text())['value']}"
        )
    if options.check:
        check(best[counts[0]] / best[counts[-1]] if options.runs else 0.0, counts)


def check(ratio: float, counts: list[int]) -> None:
    """End with status 1 where several workers were too slow.

    Raises:
        SystemExit: They were.
    """
    said = f"{counts[-1]} workers against {counts[0]}: {ratio:.2f} times as fast"
    if ratio < ENOUGH:
        raise SystemExit(f"FAILED: {said}, less than {ENOUGH}")
    print(f"passed: {said}, at least {ENOUGH}")


if __name__ == "__main__":
    main()
