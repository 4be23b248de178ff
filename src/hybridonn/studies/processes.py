"""Worker processes of this machine: one thread each, and replaced when they die.

A worker is a fresh interpreter that reads jobs from its standard input and answers on its standard
output, a line of JSON each. So a study works the same from a notebook, a script or the command
line, and nothing is pickled. A worker whose study is gone sees the end of its input and ends at
once, in the middle of a run, too.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import asdict
from queue import Empty, Queue
from threading import Event, Lock, Thread
from typing import IO

from hybridonn.studies.runs import Desk, Fault, Job, Outcome

# Ctrl-C reaches the workers too, but it is the study that ends them.
START = (
    "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from hybridonn.studies.processes import serve; serve()"
)
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
}
MOST_DEATHS = 3  # of workers with the same run: it takes more memory than there is
WAKE_S = 0.5  # systems on which waiting for a queue cannot be interrupted
LAST_WORDS = 200  # letters of what a worker said before it died

Say = Callable[[str], None]


def map_in_processes(jobs: Sequence[Job], count: int, say: Say) -> Generator[Outcome]:
    """Do runs in worker processes.

    Args:
        jobs: The runs.
        count: Number of processes.
        say: Is told when a worker died.

    Yields:
        The runs as they end, in any order. A run whose worker died is done again.
    """
    pool = _Pool(jobs)
    numbers = range(min(count, len(jobs)))
    threads = [Thread(target=pool.attend, args=(one,), daemon=True) for one in numbers]
    try:
        for thread in threads:
            thread.start()
        left = len(jobs)
        while left:
            with suppress(Empty):
                event = pool.events.get(timeout=WAKE_S)
                if isinstance(event, Exception):
                    raise event
                if isinstance(event, str):
                    say(event)
                else:
                    left -= 1
                    yield event
                    pool.taken.set()
    finally:
        pool.stop()
        for thread in threads:
            thread.join()


class _Pool:
    """The runs that are left, and the processes that do them."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.events: Queue[Outcome | str | Exception] = Queue()
        self.taken = Event()  # the study knows of the last outcome
        self._left = list(jobs)
        self._deaths: dict[str, int] = {}
        self._workers: set[_Worker] = set()
        self._groups: dict[int, str] = {}  # which group a worker does, by its number
        self._lock = Lock()
        self._stopped = False

    def attend(self, number: int) -> None:
        """Give one run after another to a worker, and replace it when it dies.

        Args:
            number: Number of the worker.
        """
        try:
            self._attend(number)
        except Exception as error:  # else the study would wait for ever
            self.events.put(error)

    def _attend(self, number: int) -> None:
        worker = None
        while job := self._take(number):
            worker = worker or self._start()
            fault, died = worker.do(job) if worker else (None, True)
            if died:
                self._bury(worker, job)
                worker = None
            else:
                self._tell(Outcome(job, fault))
        if worker:
            self._end(worker)

    def _tell(self, outcome: Outcome) -> None:
        """Hand an outcome over; after a fault, wait whether the study goes on at all."""
        if outcome.fault:
            self.taken.clear()
        self.events.put(outcome)
        while outcome.fault and not self._stopped and not self.taken.wait(WAKE_S):
            pass

    def stop(self) -> None:
        """End all workers at once."""
        with self._lock:
            self._stopped = True
            self._left.clear()
            for worker in self._workers:
                worker.kill()

    def _take(self, number: int) -> Job | None:
        """The next run: of the worker's last group, of a group that no worker has, or any."""
        with self._lock:
            if not self._left:
                return None
            group = self._groups.get(number)
            own = [job for job in self._left if job.run.group == group]
            free = [job for job in self._left if job.run.group not in self._groups.values()]
            job = (own or free or self._left)[0]
            self._left.remove(job)
            self._groups[number] = job.run.group
            return job

    def _start(self) -> _Worker | None:
        with self._lock:
            if self._stopped:
                return None
            worker = _Worker()
            self._workers.add(worker)
            return worker

    def _end(self, worker: _Worker) -> str:
        said = worker.end()
        with self._lock:
            self._workers.discard(worker)
        return said

    def _bury(self, worker: _Worker | None, job: Job) -> None:
        """Put the run of a dead worker back, unless it was the death of several."""
        said = self._end(worker) if worker else ""
        with self._lock:
            if self._stopped:
                return
            deaths = self._deaths[job.run.key] = self._deaths.get(job.run.key, 0) + 1
            if deaths < MOST_DEATHS:
                self._left.insert(0, job)
        sentence = f"the process that did it ended with {said}"
        if deaths < MOST_DEATHS:
            self.events.put(f"{job.run.name}: {sentence}; the run is done again")
            return
        cure = "it may need more memory than there is: try fewer --workers"
        self._tell(Outcome(job, Fault(f"{sentence}, {deaths} times; {cure}", True)))


class _Worker:
    """A process that does runs."""

    def __init__(self) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  it lasts as the worker
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", START, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=os.environ | ONE_THREAD,
        )

    def do(self, job: Job) -> tuple[Fault | None, bool]:
        """Do a run; what went wrong, and whether the process died of it."""
        assert self._process.stdin
        assert self._process.stdout
        with suppress(OSError, ValueError):
            self._process.stdin.write(job.to_text().encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
            if line.endswith(b"\n"):
                told = json.loads(line)
                return (Fault(**told) if told else None), False
        return None, True

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()

    def end(self) -> str:
        """Wait for the end of the process; how it ended."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                with suppress(OSError):
                    stream.close()
        status = self._process.wait()
        with self._errors as file:
            file.seek(0)
            lines = file.read().decode(errors="replace").strip().splitlines()
        said = f", saying {lines[-1][:LAST_WORDS]!r}" if lines else ""
        return f"{_name_status(status)}{said}"


def _name_status(status: int) -> str:
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"status {status}"


def serve() -> None:
    """The worker: do one run after another, until the study is gone."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not mix with the answers
    jobs: Queue[str] = Queue()
    Thread(target=_listen, args=(jobs,), daemon=True).start()
    desk = Desk()
    while True:
        fault = desk.work(jobs.get())
        out.write(json.dumps(asdict(fault) if fault else None).encode() + b"\n")
        out.flush()


def _listen(jobs: Queue[str]) -> None:
    for line in sys.stdin:
        jobs.put(line)
    os._exit(0)
