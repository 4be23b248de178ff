"""The commands of a trained network on its way to a device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from hybridonn.cli.options import DataRoot, Run, calm_threads, count
from hybridonn.cli.screen import print_table, show_bars

Targets = Annotated[
    Optional[list[str]],  # noqa: UP045  typer reads it
    typer.Option("--target", help="What to write beside ONNX: c. Repeatable."),
]


def deploy(
    run: Run,
    target: Targets = None,
    calibration: Annotated[int, count("Training images that set the ranges of integers.")] = 512,
    captures: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="The capture set that the run was compensated on: a real chip's."),
    ] = None,
    data_root: DataRoot = None,
) -> None:
    """Write the network of a finished run as files that run without torch."""
    calm_threads()
    from hybridonn.pipeline.deploy import deploy as deploy_run

    with show_bars() as progress:
        results = deploy_run(run, tuple(target or ()), calibration, data_root, progress, captures)
    print_table(run.name, {"deployed": results})
    typer.echo(run / "deployed")
