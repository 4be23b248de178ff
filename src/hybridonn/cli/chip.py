"""The commands for fabricated chips: tolerance to errors, and compensation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from hybridonn.cli.options import (
    DataRoot,
    Grid,
    Methods,
    Run,
    Settings,
    SpecFile,
    StudyOut,
    calm_threads,
    count,
    name_command,
    on_workers,
    share,
    state_run,
)
from hybridonn.cli.output import keep, say, say_document
from hybridonn.cli.screen import print_table, show_bars
from hybridonn.cli.summary import list_chips
from hybridonn.studies.workers import Workers

if TYPE_CHECKING:
    from hybridonn.spec import Spec

Preset = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        help="Preset of fabrication errors in place of those of the spec, such as paper-mnist."
    ),
]


@on_workers
def tolerance(
    run: Run,
    chips: Annotated[int, count("Number N of simulated chips, with seeds 0 to N - 1.")] = 5,
    preset: Preset = None,
    threshold: Annotated[float, share("Least accuracy (or mIoU) of a good chip, 0 to 1.")] = 0.95,
    out: StudyOut = None,
    settings: Settings = None,
    data_root: DataRoot = None,
    *,
    workers: Workers,
) -> None:
    """Simulate fabricated chips: accuracy before and after compensation, yield, main errors."""
    stated = _read_spec(run, preset, settings)
    calm_threads()
    from hybridonn.studies.tolerance import tolerate

    folder = out or run.with_name(f"{run.name}-tolerance")
    with show_bars() as progress:
        found = tolerate(stated, run, chips, threshold, folder, data_root, progress, workers)
    print_table(f"{stated.name}: {chips} chip{'s' * (chips > 1)}", found["summary"], list_chips)
    say(folder / "tolerance.png")


@on_workers
def tune_compensation(
    run: Run,
    chips: Annotated[int, count("Number of simulated chips; `tolerance` uses others.")] = 2,
    methods: Methods = "none,kd,ntkd",
    grid: Grid = None,
    preset: Preset = None,
    out: StudyOut = None,
    settings: Settings = None,
    data_root: DataRoot = None,
    *,
    workers: Workers,
) -> None:
    """Tune the fine-tuning of each method on simulated chips; print the best for the spec."""
    from hybridonn.studies.methods import parse_grid, parse_methods

    stated = _read_spec(run, preset, settings)
    names = parse_methods(methods)
    values = parse_grid(grid or ["learning_rate=0.0001,0.0003,0.001", "epochs=10,30"])
    calm_threads()
    from hybridonn.studies.tune_compensation import tune_compensation as tune

    folder = out or run.with_name(f"{run.name}-tune-compensation")
    with show_bars() as progress:
        best = tune(stated, run, names, values, chips, folder, data_root, progress, workers)
    say_document(best.rstrip(), {"best": best})
    say(folder / "tuning.csv")


def compensate(
    run: Run,
    captures: Annotated[Path, typer.Option(help="Folder that `captures import` wrote.")],
    fraction: Annotated[
        Optional[float],  # noqa: UP045
        share("Share of the captures to train on, up to 1; by default all.", zero=False),
    ] = None,
    method: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Method of fine-tuning: none, kd, cwd, ntkd; by default the spec's."),
    ] = None,
    settings: Settings = None,
    data_root: DataRoot = None,
) -> None:
    """Compensate a real chip from its captures: calibrate, then fine-tune the backend.

    The candidate that is best on held-out captures is kept.
    """
    calm_threads()
    from hybridonn.pipeline.front_door import compensate as compensate_run

    with show_bars() as progress:
        results = compensate_run(
            run,
            captures,
            fraction=fraction,
            method=method,
            settings=settings or (),
            data_root=data_root,
            progress=progress,
        )
    print_table(run.name, {"compensated": results})
    say(results["kept_because"])
    say(run / "compensated")
    say(f"next: {name_command('deploy', run, data_root=data_root, captures=captures)}")


@on_workers
def perturbation(
    kernels: Annotated[
        str, typer.Option(help="Three or more numbers of kernels, separated by commas.")
    ] = ("4,8,16,32,64,128"),
    errors: Annotated[
        str,
        typer.Option(
            help="Kernel noise over the root mean square of the kernel, separated by commas."
        ),
    ] = "0.05,0.1,0.2,0.4",
    spec: SpecFile = None,
    draws: Annotated[int, count("Number of draws of kernels and errors.")] = 5,
    out: StudyOut = None,
    settings: Settings = None,
    data_root: DataRoot = None,
    *,
    workers: Workers,
) -> None:
    """Measure how much kernel errors change the tangent kernel, by number and size of kernels."""
    stated, folder = state_run(spec, settings, out, "perturbation")
    from hybridonn.studies.perturbation import parse_counts, parse_numbers, perturb

    counts, sizes = parse_counts(kernels), parse_numbers(errors)
    with show_bars() as progress:
        found = perturb(stated, counts, sizes, draws, folder, data_root, progress, workers)
    keep(found)
    for line in found["sentences"]:
        say(line)
    say(folder / "perturbation.png")


def _read_spec(run: Path, preset: str | None, settings: list[str] | None) -> Spec:
    """The spec of a run with another process, then settings, laid over it."""
    from hybridonn.pipeline.run_record import read_own_spec

    more = [] if preset is None else [f"fabrication={{preset: {json.dumps(preset)}}}"]
    return read_own_spec(run, (*more, *(settings or ())))
