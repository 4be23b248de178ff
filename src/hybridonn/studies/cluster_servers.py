"""A scheduler and workers of a Dask cluster that listen to this machine alone, or with encryption.

``dask scheduler`` itself listens to every machine, without encryption, and runs what it is sent.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hybridonn.core.files import write_json
from hybridonn.core.parts import remove
from hybridonn.studies.cluster import (
    ADDRESS,
    ClusterError,
    import_dask,
    is_loopback,
    make_security,
    read_cluster,
    write_certificates,
)

QUIET = {"DASK_LOGGING__DISTRIBUTED": "error"}  # for this process and those that it starts
LOCAL = "127.0.0.1"
PORT, DASHBOARD_PORT = 8786, 8787
FIND_S = 30  # time in which a worker must find its scheduler

Say = Callable[[str], None]


def serve_scheduler(folder: Path, host: str, port: int, say: Say) -> None:
    """Run a scheduler until it is stopped.

    Args:
        folder: Where its address is written, and the certificates that let others in; to be kept
            from the eyes of other users.
        host: Address to listen at; another one than 127.0.0.1 is encrypted.
        port: Port to listen at; 0: any.
        say: Is told the address and that of the dashboard.

    Raises:
        ClusterError: It cannot listen there.
    """
    os.environ.update(QUIET)
    with import_dask():
        from distributed import Scheduler

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    scheme = "tcp://" if is_loopback(host) else "tls://"
    if scheme == "tls://":
        write_certificates(folder)

    async def serve() -> None:
        security = make_security(scheme, folder)
        settings = {"host": host, "port": port, "protocol": scheme, "security": security}
        dashboard = f"{LOCAL}:{DASHBOARD_PORT if port else 0}"
        async with Scheduler(**settings, dashboard_address=dashboard) as scheduler:
            write_json(folder / ADDRESS, {"address": scheduler.address})
            say(f"scheduler: {scheduler.address}; its workers: hybridonn cluster worker {folder}")
            say(f"dashboard: http://{LOCAL}:{scheduler.http_server.port}/status")
            await scheduler.finished()

    try:
        _run(serve())
    finally:
        remove(folder / ADDRESS)


def serve_workers(cluster: str, count: int, say: Say) -> None:
    """Run workers until their scheduler is gone; one that dies is replaced.

    Args:
        cluster: Folder or address of the scheduler.
        count: Number of workers, of one thread each.
        say: Is told that they are there.

    Raises:
        ClusterError: The scheduler cannot be found.
    """
    os.environ.update(QUIET)
    with import_dask():
        from distributed import Nanny

    address, folder = read_cluster(cluster)

    async def serve() -> None:
        settings: dict[str, Any] = {
            "nthreads": 1,
            "security": make_security(address, folder),
            "host": LOCAL if address.startswith("tcp://") else None,
            "memory_limit": 0,
            "dashboard_address": f"{LOCAL}:0",
            "death_timeout": FIND_S,
        }
        nannies = [Nanny(address, **settings) for _ in range(count)]
        await asyncio.gather(*nannies)
        say(f"{count} workers of {address}")
        await asyncio.gather(*(nanny.finished() for nanny in nannies))

    _run(serve())


def _run(server: Any) -> None:
    try:
        asyncio.run(server)
    except (OSError, RuntimeError, TimeoutError) as error:
        cause = error.__cause__ or error
        raise ClusterError(
            f"it cannot be started: {type(cause).__name__}: {str(cause).splitlines()[0]}; is the "
            "address right, and the port free?"
        ) from None
