"""The commands: parse, call the pipeline, print; nothing else."""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import typer

from hybridonn.cli.captures import app as captures
from hybridonn.cli.chip import compensate, perturbation, tolerance, tune_compensation
from hybridonn.cli.cluster import app as cluster
from hybridonn.cli.data import app as data
from hybridonn.cli.deployment import bundle, cost, deploy, explore, live, predict
from hybridonn.cli.optics import app as optics
from hybridonn.cli.options import (
    Commands,
    DataRoot,
    Grid,
    Methods,
    Out,
    Replace,
    Run,
    Settings,
    SpecFile,
    StudyOut,
    calm_threads,
    count,
    new_app,
    on_workers,
    positive,
    state_run,
)
from hybridonn.cli.output import say, say_document
from hybridonn.cli.reproduce import reproduce
from hybridonn.cli.screen import print_comparison, print_forecast, print_table, show_bars
from hybridonn.cli.start import init, list_
from hybridonn.cli.stopping import NO_MEMORY, give_up, is_out_of_memory, stop
from hybridonn.cli.studies import app as studies
from hybridonn.cli.train_teacher import train_teacher
from hybridonn.studies.workers import Workers

# As a job goes: from a spec to a network, from there to a chip, and back from the fab.
STORY = (
    *(
        "init",
        "list",
        "run",
        "spec",
        "data",
        "estimate",
        "train-teacher",
        "compare",
        "tune",
        "optics",
        "design",
        "export-layout",
    ),
    *(
        "tolerance",
        "captures",
        "compensate",
        "tune-compensation",
        "deploy",
        "cost",
        "predict",
        "live",
        "explore",
        "bundle",
        "study",
        "reproduce",
        "cluster",
        "report",
        "version",
    ),
)


class Tone(Enum):
    """What a layout file draws."""

    pillars = "pillars"
    cleared = "cleared"


class Story(Commands):
    """The commands in the order of a job; Ctrl-C ends each of them with a sentence."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names in the order of the story; what is not in it comes last."""
        known = [name for name in STORY if name in self.commands]
        return [*known, *(name for name in super().list_commands(ctx) if name not in known)]

    # Else the library takes the interrupt and ends without a word.
    def make_context(self, *arguments: Any, **keywords: Any) -> Any:
        """Read the arguments."""
        try:
            return super().make_context(*arguments, **keywords)
        except KeyboardInterrupt:
            stop()

    def invoke(self, ctx: Any) -> Any:
        """Run the command that is asked for."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            stop()


app = new_app(
    "From a physical size to a deployed hybrid optical neural network.", Story, completion=True
)
app.add_typer(data, name="data")
app.add_typer(optics, name="optics")
app.add_typer(captures, name="captures")
app.add_typer(studies, name="study")
app.add_typer(cluster, name="cluster")
app.command()(tolerance)
app.command()(compensate)
app.command("tune-compensation")(tune_compensation)
app.command()(reproduce)
app.command("train-teacher")(train_teacher)
for command in (deploy, cost, predict, live, bundle, explore):
    app.command()(command)
studies.command()(perturbation)
app.command()(init)
app.command("list")(list_)


def _show_version(asked: bool) -> None:
    if asked:
        from hybridonn import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _common(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    os.environ["HYBRIDONN_DEBUG"] = "1" if debug else ""


@app.command()
def run(
    spec: SpecFile = None,
    out: Out = None,
    settings: Settings = None,
    data_root: DataRoot = None,
    replace: Replace = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Only say which stages would be done, and about how long they take."
        ),
    ] = False,
) -> None:
    """Train teacher and student, and write the report; an interrupted run is resumed."""
    stated, folder = state_run(spec, settings, out)
    if dry_run:
        from hybridonn.pipeline.forecast import forecast

        with show_bars() as progress:
            stages = forecast(stated, folder, data_root, progress)
        print_forecast(folder, stages)
        return
    from hybridonn.pipeline.run import run as run_pipeline

    with show_bars() as progress:
        results = run_pipeline(stated, folder, data_root, progress, replace)
    print_table(stated.name, results)
    say(folder / "report.html")


@app.command()
@on_workers
def estimate(
    spec: SpecFile = None,
    out: Out = None,
    settings: Settings = None,
    data_root: DataRoot = None,
    replace: Replace = False,
    optics: Annotated[
        Optional[Literal["lens"]],  # noqa: UP045
        typer.Option(
            help="Estimate the same backend behind a plain lens instead, in a run of its own, "
            "NAME-lens.",
            show_default=False,
        ),
    ] = None,
    *,
    workers: Workers,
) -> None:
    """Estimate the accuracy of a design before anything is trained."""
    stated, folder = state_run(spec, settings, out, optics or "")
    from hybridonn.studies.kernel_strips import estimate_on_workers
    from hybridonn.studies.lens_choice import state_lens

    with show_bars() as progress:
        stated = state_lens(stated, data_root, progress) if optics else stated
        results = estimate_on_workers(stated, folder, data_root, progress, replace, workers)
    print_table(stated.name, results)
    say(folder / "estimate" / "learning_curve.csv")


@app.command()
@on_workers
def compare(
    spec: SpecFile = None,
    methods: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="Methods, separated by commas; by default none,kd,ntkd.", show_default=False
        ),
    ] = None,
    optics: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="Compare optics in place of methods: lens, designed, ideal, or none, an "
            "all-digital network; separated by commas.",
            show_default=False,
        ),
    ] = None,
    seeds: Annotated[
        int, count("Number N of seeds, 0 to N - 1, the same for all methods or optics.")
    ] = 5,
    out: StudyOut = None,
    settings: Settings = None,
    data_root: DataRoot = None,
    *,
    workers: Workers,
) -> None:
    """Train a design by several methods, or behind several optics, on the same seeds.

    Prints the paired differences.
    """
    from hybridonn.studies.methods import choose_compared

    names, suffix = choose_compared(methods, optics)
    stated, folder = state_run(spec, settings, out, suffix)
    from hybridonn.studies.compare import compare as compare_methods
    from hybridonn.studies.compare_optics import compare_optics

    study = compare_methods if optics is None else compare_optics
    with show_bars() as progress:
        comparison = study(stated, names, seeds, folder, data_root, progress, workers)
    print_comparison(comparison)
    say(folder / "comparison.png")


@app.command()
@on_workers
def tune(
    spec: SpecFile = None,
    methods: Methods = "none,kd,ntkd",
    grid: Grid = None,
    seeds: Annotated[int, count("Number of seeds for each setting.")] = 2,
    out: StudyOut = None,
    settings: Settings = None,
    data_root: DataRoot = None,
    *,
    workers: Workers,
) -> None:
    """Tune the training of each method on validation data; print the best for the key `tuned`."""
    from hybridonn.studies.methods import parse_grid, parse_methods

    names = parse_methods(methods)
    values = parse_grid(grid or ["learning_rate=0.002,0.004,0.008", "epochs=20,40"])
    stated, folder = state_run(spec, settings, out, "tune")
    from hybridonn.studies.tune import tune as tune_methods

    with show_bars() as progress:
        best = tune_methods(stated, names, values, seeds, folder, data_root, progress, workers)
    say_document(best.rstrip(), {"best": best})
    say(folder / "tuning.csv")


@app.command()
def design(
    folder: Run,
    settings: Settings = None,
    data_root: DataRoot = None,
) -> None:
    """Design the metasurface of a finished run: pillars whose PSFs match the trained kernels."""
    from hybridonn.pipeline.run_folder import read_run_spec

    stated = read_run_spec(folder, tuple(settings or ()))
    calm_threads()
    from hybridonn.pipeline.run import run as run_pipeline

    with show_bars() as progress:
        results = run_pipeline(stated.with_metasurface(), folder, data_root, progress)
    print_table(stated.name, results)
    say(folder / "metasurface" / "sub_optics.csv")


@app.command("export-layout")
def export_layout(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run with a metasurface.")],
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="File to write, .oas or .gds; by default layout.oas in the run."),
    ] = None,
    tone: Annotated[
        Tone,
        typer.Option(help="Draw what stays (pillars) or is etched (cleared)."),
    ] = Tone.pillars,
    mirrored: Annotated[
        bool, typer.Option("--mirrored", help="Mirror the layout: the chip as seen from behind.")
    ] = False,
    memory_gb: Annotated[float, positive("Refuse a file that takes more.")] = 4.0,
) -> None:
    """Write the metasurface as a layout file for the fab, read it back and compare."""
    from hybridonn.pipeline.layout_file import export_layout as export

    with show_bars() as progress:
        summary = export(folder, out, progress, tone.value, mirrored, memory_gb)
    print_table(folder.name, summary.to_dict())
    say(summary.path)


@app.command()
def report(
    folder: Run,
) -> None:
    """Write the report of a finished run or study anew."""
    from hybridonn.reports.studies import find_kind, write_study_report

    if find_kind(folder):
        say(write_study_report(folder))
        return
    from hybridonn.reports.page import write_report

    say(write_report(folder))


@app.command()
def spec(
    file: SpecFile = None,
    settings: Settings = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of all specs instead.")
    ] = False,
) -> None:
    """Print a spec with all defaults, as a start for your own spec."""
    from hybridonn.spec import dump_spec, read_spec
    from hybridonn.spec.schema import build_schema, dump_schema

    if schema:
        say_document(dump_schema().rstrip(), build_schema())
        return
    stated = read_spec(file, tuple(settings or ()))
    say_document(dump_spec(stated).rstrip(), stated.model_dump(mode="json"))


@app.command()
def version() -> None:
    """Print the version."""
    from hybridonn import __version__

    say_document(__version__, {"version": __version__})


def main() -> None:
    """Run a command; a fault that the user can mend is one sentence and exit status 1.

    Raises:
        RuntimeError: A fault of the program itself.
    """
    from hybridonn.core.errors import HybridonnError
    from hybridonn.pipeline.errors import translate_tangent_errors

    try:
        with translate_tangent_errors():
            app()
    except HybridonnError as error:
        give_up(f"error: {error}", 1)
    except KeyboardInterrupt:
        stop()
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        give_up(f"error: {error.strerror or error}{where}; earlier results are untouched", 1)
    except MemoryError:
        give_up(NO_MEMORY, 1)
    except RuntimeError as error:
        if is_out_of_memory(error):
            give_up(NO_MEMORY, 1)
        raise
