"""Does the runs of a study on a Dask cluster, or on SLURM jobs.

A worker is given a job as text, and the scheduler nothing but its turn: so a worker or a scheduler
that is killed costs the runs that were being done, and their rows tell which were finished. Dask
pickles what it sends between its parts, and runs it. So nothing but an encrypted connection leads
to another machine.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import shutil
import socket
import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlsplit

from hybridonn.core.errors import ArtefactError, HybridonnError, SpecError
from hybridonn.core.files import read_json
from hybridonn.core.parts import scratch_folder
from hybridonn.studies.rows import tell_apart
from hybridonn.studies.runs import Desk, Fault, Job, Outcome, list_versions
from hybridonn.studies.workers import Workers

ADDRESS, CERTIFICATE, KEY = "scheduler.json", "certificate.pem", "key.pem"
DASK_PORT = 8786  # where an address names none
CONNECT_S = 10  # to find a scheduler
SUBMIT_S = 60  # until SLURM has taken all jobs
WAIT_S = 600  # for a first worker: a queue may be long
MEMORY = "4 GiB"  # of a SLURM job where the configuration of dask-jobqueue states none
INSTALL = "install it with: pip install 'hybridonn[cluster]'"

Say = Callable[[str], None]
_TURN = Lock()  # a worker with several threads would share the random state of torch
_DESK = Desk()


class ClusterError(HybridonnError):
    """A cluster that cannot do the runs of a study."""


def map_on_cluster(jobs: Sequence[Job], workers: Workers, say: Say) -> Generator[Outcome]:
    """Do runs on the workers of a cluster.

    Args:
        jobs: The runs.
        workers: The scheduler, or how many SLURM jobs to start.
        say: Is told where the dashboard is.

    Yields:
        The runs as they end, in any order.

    Raises:
        ClusterError: There is no scheduler, no worker, or one that is not fit.
    """
    with _open(workers, jobs) as client:
        from distributed import as_completed

        _refuse_unfit(client, say)
        token = uuid.uuid4().hex  # two calls never share a task
        futures = {
            client.submit(
                do_on_worker, job.to_text(), key=f"{job.row.path.stem}-{token}", pure=False
            ): job
            for job in jobs
        }
        try:
            for future in as_completed(futures, loop=client.loop):
                yield Outcome(futures[future], _read_fault(future))
        finally:
            with suppress(Exception):  # the scheduler may be gone
                client.cancel(list(futures))


def refuse_absent(workers: Workers) -> None:
    """Refuse a cluster that is not there before anything is made that a study would share.

    Args:
        workers: Who will do the runs.

    Raises:
        ClusterError: No scheduler answers, or there is no SLURM.
        SpecError: The address is not allowed.
        ArtefactError: The folder is that of no scheduler.
    """
    if workers.slurm:
        _refuse_no_slurm()
    if workers.scheduler is None:
        return
    address, _ = read_cluster(workers.scheduler)
    parts = urlsplit(address)
    try:
        socket.create_connection((parts.hostname, parts.port or DASK_PORT), CONNECT_S).close()
    except OSError as error:
        raise ClusterError(_say_absent(address, error)) from None


def do_on_worker(text: str) -> dict[str, Any] | None:
    """Do a run on a worker; what went wrong, as plain data.

    Args:
        text: A job, from :meth:`hybridonn.studies.runs.Job.to_text`.
    """
    from distributed import get_worker

    with _TURN:
        fault = _DESK.work(text)
    if fault is None:
        return None
    where = f" (on the worker {get_worker().address})" if fault.of_machine else ""
    return asdict(fault) | {"sentence": fault.sentence + where}


def describe_worker() -> dict[str, str]:
    """Versions of what the numbers of a run depend on, on a worker."""
    return list_versions()


def read_cluster(text: str) -> tuple[str, Path | None]:
    """The address of a scheduler, and the folder of its certificates.

    Args:
        text: An address, or the folder of a scheduler that ``hybridonn cluster scheduler`` wrote.

    Raises:
        SpecError: It is neither, or the address of another machine without encryption.
        ArtefactError: The folder is that of no scheduler.
    """
    folder = Path(text) if "://" not in text else None
    address = _read_address(folder) if folder else text
    parts = urlsplit(address)
    if parts.scheme not in ("tcp", "tls") or not parts.hostname:
        raise SpecError(
            f"--scheduler {text}: allowed is tls://host:port, tcp://127.0.0.1:port, or the folder "
            "of a scheduler"
        )
    if parts.scheme == "tcp" and not is_loopback(parts.hostname):
        raise SpecError(
            f"--scheduler {text}: the connection to another machine must be encrypted, since who "
            "reaches a scheduler can run anything; start it with `hybridonn cluster scheduler "
            "--host` and name its folder, or tls://host:port"
        )
    return address, folder


def is_loopback(host: str) -> bool:
    """Whether a host is this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def make_security(address: str, folder: Path | None) -> Any:
    """The encryption of a cluster: none within a machine, else its certificates.

    Args:
        address: Address of the scheduler.
        folder: Where the certificates lie; None: where the configuration of Dask says.
    """
    from distributed.security import Security

    if not address.startswith("tls://"):
        return None
    if folder is None:
        return Security()
    files = {"tls_ca_file": folder / CERTIFICATE}
    for role in ("scheduler", "worker", "client"):
        files |= {f"tls_{role}_cert": folder / CERTIFICATE, f"tls_{role}_key": folder / KEY}
    named = {name: str(path) for name, path in files.items()}
    return Security(require_encryption=True, **named)


def write_certificates(folder: Path) -> None:
    """Write a certificate and its key, unless they are there; they let in who has them."""
    if (folder / CERTIFICATE).is_file() and (folder / KEY).is_file():
        return
    with import_dask():
        from distributed.security import Security

        made = Security.temporary()
    for name, text in ((CERTIFICATE, made.tls_ca_file), (KEY, made.tls_scheduler_key)):
        with open(
            folder / name, "w", opener=lambda path, flags: os.open(path, flags, 0o600)
        ) as file:
            file.write(text)


@contextmanager
def import_dask() -> Iterator[None]:
    """Say in a sentence that Dask is not installed.

    Raises:
        ClusterError: It is not.
    """
    try:
        yield
    except ImportError as error:
        raise ClusterError(f"a cluster needs {error.name}; {INSTALL}") from None


@contextmanager
def _open(workers: Workers, jobs: Sequence[Job]) -> Iterator[Any]:
    with import_dask():
        import dask.config
        from distributed import Client

    for name in ("distributed", "asyncio"):  # what they say, we say
        logging.getLogger(name).setLevel(logging.CRITICAL)
    quiet = {"distributed.admin.large-graph-warning-threshold": "1 GB"}
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(quiet))
        if workers.slurm:
            cluster = stack.enter_context(
                _start_slurm(min(workers.count or 1, len(jobs)), Path(jobs[0].folder))
            )
            address, security = cluster.scheduler_address, cluster.security
        else:
            address, folder = read_cluster(workers.scheduler or "")
            security = make_security(address, folder)
        try:
            client = Client(address, security=security, timeout=CONNECT_S, set_as_default=False)
        except (OSError, TypeError, ValueError, RuntimeError) as error:
            raise ClusterError(_say_absent(address, error)) from None
        yield stack.enter_context(client)


def _say_absent(address: str, error: Exception) -> str:
    return (
        f"no scheduler answers at {address} ({_first_line(error)}); start one with "
        "`hybridonn cluster scheduler`, or leave --scheduler out"
    )


def _refuse_no_slurm() -> None:
    if shutil.which("sbatch") is None:
        raise ClusterError(
            "--slurm: there is no sbatch on this machine; start the study on a login node of the "
            "SLURM cluster, or leave --slurm out"
        )


@contextmanager
def _start_slurm(count: int, study: Path) -> Iterator[Any]:
    """Start SLURM jobs, each a worker with one thread, and their scheduler in this process.

    Raises:
        ClusterError: They cannot be started.
    """
    with import_dask():
        import dask.config
        from dask_jobqueue.slurm import SLURMCluster

    memory = dask.config.get("jobqueue.slurm.memory", None) or MEMORY
    _refuse_no_slurm()
    with scratch_folder(study / "slurm") as keys:  # on the disk that jobs share
        write_certificates(keys)
        settings: dict[str, Any] = {
            "protocol": "tls://",
            "security": make_security("tls://", keys),
            "scheduler_options": {"dashboard_address": "127.0.0.1:0"},
            "worker_extra_args": ["--dashboard-address", "127.0.0.1:0"],
        }
        cluster: Any = SLURMCluster(count, cores=1, processes=1, memory=memory, **settings)
        taken = _count_taken(cluster, count)
        if taken < count:
            with suppress(AssertionError):  # of dask: jobs that never began are not closed
                cluster.close()
            raise ClusterError(
                f"--slurm: sbatch took {taken} of {count} jobs; try sbatch by hand, and state "
                "queue, account and walltime in the configuration of dask-jobqueue "
                "(jobqueue.slurm)"
            )
        with cluster:
            yield cluster


def _count_taken(cluster: Any, count: int) -> int:
    """How many jobs SLURM has taken: Dask submits them behind our back, and logs what failed."""
    end = monotonic() + SUBMIT_S
    while True:
        taken = sum(job.job_id is not None for job in cluster.workers.values())
        if taken == count or monotonic() > end:
            return taken
        sleep(0.1)


def _refuse_unfit(client: Any, say: Say) -> None:
    """Refuse a cluster without workers, and workers whose numbers would be others.

    Raises:
        ClusterError: There is no worker, or one has other software, or several threads.
    """
    say(f"the dashboard of the cluster: {client.dashboard_link}")
    if not client.scheduler_info(n_workers=-1)["workers"]:
        say("waiting for a first worker")
        with suppress(TimeoutError):
            client.wait_for_workers(1, timeout=WAIT_S)
    found = client.scheduler_info(n_workers=-1)["workers"]
    if not found:
        raise ClusterError(
            f"the scheduler {client.scheduler.address} has had no worker for {WAIT_S} s; start one "
            "with `hybridonn cluster worker`"
        )
    for address, worker in found.items():
        if worker["nthreads"] != 1:
            raise ClusterError(
                f"the worker {address} has {worker['nthreads']} threads, which would share one "
                "random state; start workers with `hybridonn cluster worker`, or --nthreads 1"
            )
    own = list_versions()
    for address, versions in client.run(describe_worker, on_error="return").items():
        if isinstance(versions, BaseException):
            raise ClusterError(
                f"the worker {address} cannot import this version of hybridonn "
                f"({_first_line(versions)}); install it there"
            )
        if versions != own:
            raise ClusterError(
                f"the worker {address} has other software than the study: "
                f"{tell_apart(versions, own)}; install the same versions for both"
            )


def _read_fault(future: Any) -> Fault | None:
    """What came of a task.

    Raises:
        ClusterError: The scheduler is gone.
    """
    if future.status == "finished":
        with suppress(OSError):  # the scheduler went before it handed the answer over
            told = future.result()
            return Fault(**told) if told else None
    if future.status == "error":
        error = future.exception()
        if type(error).__name__ == "KilledWorker":
            return Fault("its workers died one after another; they may need more memory", True)
        return Fault(f"its worker failed: {_first_line(error)}", True)
    raise ClusterError(
        "the scheduler is gone; what is finished is kept: start a scheduler and run the same "
        "command again"
    )


def _read_address(folder: Path) -> str:
    tree = read_json(folder / ADDRESS) if (folder / ADDRESS).is_file() else None
    address = tree.get("address") if isinstance(tree, dict) else None
    if not isinstance(address, str):
        raise ArtefactError(
            f"--scheduler {folder}: the folder does not say where a scheduler is; start one with "
            f"`hybridonn cluster scheduler {folder}`, or give its address, tls://host:port"
        )
    return address


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
