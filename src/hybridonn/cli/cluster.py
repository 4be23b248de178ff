"""The commands ``hybridonn cluster ...``: who does the runs of studies on other machines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hybridonn.cli.options import calm_threads, count, new_app
from hybridonn.cli.output import say

app = new_app("A scheduler and workers that run studies on several machines.")

MOST_PORT = 65_535


@app.command()
def scheduler(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Folder for the address and the keys, on a disk that all machines share."
        ),
    ] = Path("cluster"),
    host: Annotated[
        str,
        typer.Option(help="Address to listen at; connections from other machines are encrypted."),
    ] = "127.0.0.1",
    port: Annotated[int, count("Port to listen at; 0: any.", least=0, most=MOST_PORT)] = 8786,
) -> None:
    """Run the scheduler of a cluster; studies take its folder as --scheduler."""
    from hybridonn.studies.cluster_servers import serve_scheduler

    serve_scheduler(folder, host, port, say)


@app.command()
def worker(
    cluster: Annotated[
        str, typer.Argument(help="Folder or address of the scheduler.", metavar="SCHEDULER")
    ] = "cluster",
    workers: Annotated[int, count("Workers on this machine, of one thread each.")] = 1,
) -> None:
    """Run workers of a cluster; a worker that dies is replaced."""
    calm_threads()
    from hybridonn.studies.cluster_servers import serve_workers

    serve_workers(cluster, workers, say)
