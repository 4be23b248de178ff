"""The commands: parse, call the pipeline, print; nothing else."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from hybridonn.cli_captures import app as captures
from hybridonn.cli_chip import compensate, perturbation, tolerance, tune_compensation
from hybridonn.cli_data import app as data
from hybridonn.cli_optics import app as optics
from hybridonn.cli_studies import app as studies
from hybridonn.options import DataRoot, Grid, Methods, Out, Settings, SpecFile, calm_threads
from hybridonn.screen import print_comparison, print_table, show_bars

app = typer.Typer(
    help="From a physical size to a deployed hybrid optical neural network.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(data, name="data")
app.add_typer(optics, name="optics")
app.add_typer(captures, name="captures")
app.add_typer(studies, name="study")
app.command()(tolerance)
app.command()(compensate)
app.command("tune-compensation")(tune_compensation)
studies.command()(perturbation)


@app.callback()
def _common(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    os.environ["HYBRIDONN_DEBUG"] = "1" if debug else ""


@app.command()
def run(
    spec: SpecFile = None,
    out: Out = None,
    settings: Settings = None,
    data_root: DataRoot = None,
) -> None:
    """Lay out, teach, distil, report: the whole job, resumed where it was interrupted."""
    from hybridonn.spec import read_spec

    stated = read_spec(spec, tuple(settings or ()))
    folder = out or Path("runs") / stated.name
    calm_threads()
    from hybridonn.pipeline.run import run as run_pipeline

    with show_bars() as progress:
        results = run_pipeline(stated, folder, data_root, progress)
    print_table(stated.name, results)
    typer.echo(folder / "report.html")


@app.command()
def estimate(
    spec: SpecFile = None,
    out: Out = None,
    settings: Settings = None,
    data_root: DataRoot = None,
) -> None:
    """Estimate the accuracy that a design can reach, before anything is trained."""
    from hybridonn.spec import read_spec

    stated = read_spec(spec, tuple(settings or ()))
    folder = out or Path("runs") / stated.name
    calm_threads()
    from hybridonn.pipeline.run import estimate as estimate_design

    with show_bars() as progress:
        results = estimate_design(stated, folder, data_root, progress)
    print_table(stated.name, results)
    typer.echo(folder / "estimate" / "learning_curve.csv")


@app.command()
def compare(
    spec: SpecFile = None,
    methods: Methods = "none,kd,ntkd",
    seeds: Annotated[int, typer.Option(help="Seeds 0 to N - 1, the same for each method.")] = 5,
    out: Out = None,
    settings: Settings = None,
    data_root: DataRoot = None,
) -> None:
    """Train one design by several methods on the same seeds; print the paired differences."""
    from hybridonn.spec import read_spec
    from hybridonn.studies.methods import parse_methods

    stated = read_spec(spec, tuple(settings or ()))
    names = parse_methods(methods)
    folder = out or Path("runs") / f"{stated.name}-compare"
    calm_threads()
    from hybridonn.studies.compare import compare as compare_methods

    with show_bars() as progress:
        comparison = compare_methods(stated, names, seeds, folder, data_root, progress)
    print_comparison(comparison)
    typer.echo(folder / "comparison.png")


@app.command()
def tune(
    spec: SpecFile = None,
    methods: Methods = "none,kd,ntkd",
    grid: Grid = None,
    seeds: Annotated[int, typer.Option(help="Seeds that each setting is tried on.")] = 2,
    out: Out = None,
    settings: Settings = None,
    data_root: DataRoot = None,
) -> None:
    """Find each method's own training by its validation score; print it as a spec's `tuned`."""
    from hybridonn.spec import read_spec
    from hybridonn.studies.methods import parse_grid, parse_methods

    stated = read_spec(spec, tuple(settings or ()))
    names = parse_methods(methods)
    values = parse_grid(grid or ["learning_rate=0.002,0.004,0.008", "epochs=20,40"])
    folder = out or Path("runs") / f"{stated.name}-tune"
    calm_threads()
    from hybridonn.studies.tune import tune as tune_methods

    with show_bars() as progress:
        best = tune_methods(stated, names, values, seeds, folder, data_root, progress)
    typer.echo(best.rstrip())
    typer.echo(folder / "tuning.csv")


@app.command()
def design(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run folder.")],
    settings: Settings = None,
    data_root: DataRoot = None,
) -> None:
    """Design the metasurface of a finished run: pillars whose PSFs are the trained kernels."""
    from hybridonn.pipeline.folder import read_run_spec

    stated = read_run_spec(folder, tuple(settings or ()))
    calm_threads()
    from hybridonn.pipeline.run import run as run_pipeline

    with show_bars() as progress:
        results = run_pipeline(stated.with_metasurface(), folder, data_root, progress)
    print_table(stated.name, results)
    typer.echo(folder / "metasurface" / "sub_optics.csv")


@app.command("export-layout")
def export_layout(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run with a metasurface.")],
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="File to write, .oas or .gds; by default layout.oas in the run."),
    ] = None,
    tone: Annotated[
        str, typer.Option(help="pillars draws what stays, cleared what goes.")
    ] = "pillars",
    mirrored: Annotated[
        bool, typer.Option("--mirrored", help="The chip as seen from behind.")
    ] = False,
    memory_gb: Annotated[float, typer.Option(help="Refuse a file that takes more.")] = 4.0,
) -> None:
    """Write the metasurface as a layout file for the fab, read it back and compare."""
    from hybridonn.pipeline.layout_file import export_layout as export

    with show_bars() as progress:
        summary = export(folder, out, progress, tone, mirrored, memory_gb)
    print_table(folder.name, summary.to_dict())
    typer.echo(summary.path)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run folder.")],
) -> None:
    """Write the report of a finished run again."""
    from hybridonn.reports import write_report

    typer.echo(write_report(folder))


@app.command()
def spec(
    file: SpecFile = None,
    settings: Settings = None,
) -> None:
    """Print a spec with every default spelled out: a start for one of your own."""
    from hybridonn.spec import dump_spec, read_spec

    typer.echo(dump_spec(read_spec(file, tuple(settings or ()))).rstrip())


@app.command()
def version() -> None:
    """Print the version."""
    from hybridonn import __version__

    typer.echo(__version__)


def main() -> None:
    """Run a command; a fault that the user can mend is one sentence and exit status 1."""
    from hybridonn.errors import HybridonnError
    from hybridonn.pipeline.errors import translate_tangent_errors

    try:
        with translate_tangent_errors():
            app()
    except HybridonnError as error:
        _give_up(f"error: {error}", 1)
    except KeyboardInterrupt:
        _give_up("stopped; run the same command again to go on where it was", 130)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        _give_up(f"error: {error.strerror or error}{where}; earlier results are untouched", 1)


def _give_up(sentence: str, status: int) -> None:
    if os.environ.get("HYBRIDONN_DEBUG"):
        import traceback

        traceback.print_exc()
    typer.echo(sentence, err=True)
    sys.exit(status)
