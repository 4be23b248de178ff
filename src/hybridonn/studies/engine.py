"""Does the runs of a study: here, in processes of this machine, or on a cluster.

A study is a list of independent runs. Each writes its row into a file of its own
(:mod:`hybridonn.studies.rows`), and the study reads its rows from these files: so it does not
matter where a run was done, a killed worker or study goes on where it was, and nothing that was
finished is done twice. A run that fails does not keep the others from being done.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import Any

from hybridonn.core.errors import HybridonnError
from hybridonn.core.progress import Progress
from hybridonn.studies.rows import Rows
from hybridonn.studies.runs import Fault, Job, Outcome, Run, Work, do_once, explain, list_versions
from hybridonn.studies.workers import HERE, Workers

MOST_FAULTS_OF_MACHINE = 3  # one after another: a full disk would take all runs that are left
MOST_SHOWN = 3  # faults in a message
TABLES_S = 5.0  # time between two tables that are written while runs are done


class StudyError(HybridonnError):
    """Runs of a study failed; the others are finished and kept."""


def map_runs(
    work: Work,
    runs: Sequence[Run],
    rows: Rows,
    shared: Any,
    progress: Progress,
    workers: Workers = HERE,
    changed: Callable[[], None] = lambda: None,
) -> None:
    """Do the runs whose rows are missing.

    Args:
        work: How they are done.
        runs: All runs that are asked for.
        rows: The rows of the study, which grow.
        shared: What the runs share, as ``work.open`` gives it, for runs of this process.
        progress: Shows how many are done and how long the others will take.
        workers: Who does them.
        changed: Called when there are new rows, now and then and at the end.

    Raises:
        StudyError: Runs failed; all others are done, and kept.
    """
    jobs = _list_jobs(work, runs, rows)
    if not jobs:
        return
    tally = _Tally(len(jobs), changed)
    with (
        progress.bar(f"{work.study}: runs", len(runs), len(runs) - len(jobs)) as advance,
        closing(_map(jobs, shared, progress, workers)) as outcomes,
    ):
        try:
            for outcome in outcomes:
                if outcome.fault:
                    tally.add_fault(outcome.job, outcome.fault)
                else:
                    rows.take(outcome.job.run.key)
                    advance(1, tally.add(outcome.job.run.name))
        finally:
            tally.tell()
    tally.refuse_faults()


def _list_jobs(work: Work, runs: Sequence[Run], rows: Rows) -> list[Job]:
    missing = [run for run in runs if run.key not in rows.values]
    if not missing:
        return []
    number, folder, versions = rows.next_number, str(rows.folder.absolute()), list_versions()
    return [
        Job(work, run, number + place, folder, rows.told, str(Path.cwd()), versions)
        for place, run in enumerate(missing)
    ]


def _map(jobs: list[Job], shared: Any, progress: Progress, workers: Workers) -> Generator[Outcome]:
    """What does the runs, by who does them."""
    if workers.scheduler is not None or workers.slurm:
        from hybridonn.studies.cluster import map_on_cluster

        return map_on_cluster(jobs, workers, progress.say)
    if workers.count is not None:
        from hybridonn.studies.processes import map_in_processes

        return map_in_processes(jobs, workers.count, progress.say)
    return _map_here(jobs, shared, progress)


def _map_here(jobs: list[Job], shared: Any, progress: Progress) -> Generator[Outcome]:
    for job in jobs:
        try:
            do_once(job, shared, progress)
        except HybridonnError as error:
            yield Outcome(job, explain(error))
        else:
            yield Outcome(job)


class _Tally:
    """Counts finished and failed runs, estimates the time left, has tables written now and then."""

    def __init__(self, total: int, changed: Callable[[], None]) -> None:
        self._total, self._changed = total, changed
        self._start = self._written = monotonic()
        self._done = self._in_a_row = 0
        self._new = False
        self._faults: list[tuple[int, str, str]] = []  # place in the table, name, sentence
        self._trace = ""

    def add(self, name: str) -> str:
        """Count a finished run; what there is to say of it."""
        self._done, self._new, self._in_a_row = self._done + 1, True, 0
        if monotonic() - self._written > TABLES_S:
            self.tell()
        left = (monotonic() - self._start) / self._done * (self._total - self._done)
        return f"{name}; {say_time(left)} left"

    def add_fault(self, job: Job, fault: Fault) -> None:
        """Count a failed run.

        Raises:
            StudyError: One run after another fails because of the machine.
        """
        self._faults.append((job.number, job.run.name, fault.sentence))
        self._trace = self._trace or fault.trace
        self._in_a_row = self._in_a_row + 1 if fault.of_machine else 0
        if self._in_a_row >= MOST_FAULTS_OF_MACHINE:
            self.refuse_faults("the study was stopped")

    def tell(self) -> None:
        """Let the tables be written, if there are new rows."""
        if self._new:
            self._changed()
            self._new, self._written = False, monotonic()

    def refuse_faults(self, more: str = "all others are done") -> None:
        """Say which runs failed.

        Raises:
            StudyError: There are some.
        """
        if not self._faults:
            return
        by_sentence: dict[str, list[str]] = {}
        for _, name, sentence in sorted(self._faults):
            by_sentence.setdefault(sentence, []).append(name)
        said = [f"{_list_names(names)}: {text}" for text, names in by_sentence.items()]
        rest = [f"and {len(said) - MOST_SHOWN} more"] if len(said) > MOST_SHOWN else []
        listed = "; ".join([*said[:MOST_SHOWN], *rest])
        raise StudyError(
            f"{len(self._faults)} of {self._total} runs failed, {more}: {listed}. "
            "What is finished is kept: run the same command again to do the rest"
        ) from _Trace(self._trace)


class _Trace(Exception):  # noqa: N818  it is shown by --debug alone
    """The traceback of the first run that failed, which another process may have had."""


def _list_names(names: list[str]) -> str:
    more = f" and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else ""
    return ", ".join(names[:MOST_SHOWN]) + more


def say_time(seconds: float) -> str:
    """A time as a person says it: ``40 s``, ``3 min``, ``2.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
