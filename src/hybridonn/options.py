"""What the commands have in common: options, and how threads wait."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Optional

import typer

SpecFile = Annotated[
    Optional[Path],  # noqa: UP045  typer reads the annotation
    typer.Argument(help="A spec (YAML); without one, the digits that come with the package."),
]
Out = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--out", help="The run folder; by default runs/NAME.", show_default=False),
]
Settings = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change the spec; repeatable."),
]
Methods = Annotated[str, typer.Option(help="Methods, separated by commas.")]
Grid = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--grid", metavar="KEY=V1,V2", help="Values to try of a tuned key."),
]
DataRoot = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        "--data-root",
        envvar="HYBRIDONN_DATA",
        help="Where data sets lie, or are downloaded to.",
        show_default=False,
    ),
]


def calm_threads() -> None:
    """Keep idle OpenMP threads from spinning; to be called before torch is imported.

    Threads that spin while they wait slow every neighbour on few cores.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
