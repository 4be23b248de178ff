"""The commands ``hybridonn study ...``: grids of designs and what they show."""

from __future__ import annotations

from typing import Annotated, Any, Optional

import typer

from hybridonn.cli.options import (
    MOST_IMAGES,
    DataRoot,
    Settings,
    SpecFile,
    StudyOut,
    count,
    new_app,
    on_workers,
    state_run,
)
from hybridonn.cli.output import keep, say
from hybridonn.cli.screen import say_seeds, show_bars, show_table
from hybridonn.studies.workers import Workers

app = new_app("Studies over many designs: tables and figures.")


@app.command()
@on_workers
def ranking(
    spec: SpecFile = None,
    designs: Annotated[
        int, count("Number of designs, spread over the space; --set seed=N draws others.")
    ] = 24,
    seeds: Annotated[int, count("Number N of seeds of each training, 0 to N - 1.")] = 1,
    kernels: Annotated[
        str,
        typer.Option(help="Estimates to compare: design, infinite, or both, separated by a comma."),
    ] = "design,infinite",
    similarity: Annotated[
        bool,
        typer.Option(
            "--similarity",
            help="Rank by the similarity of untrained kernels to the teacher's, too.",
        ),
    ] = False,
    out: StudyOut = None,
    settings: Settings = None,
    data_root: DataRoot = None,
    *,
    workers: Workers,
) -> None:
    """Estimate and train many designs, and compare how both rank them."""
    stated, folder = state_run(spec, settings, out, "ranking")
    from hybridonn.studies.ranking import parse_kernels, rank

    kinds = parse_kernels(kernels)
    with show_bars() as progress:
        found = rank(
            stated,
            designs,
            seeds,
            kinds,
            folder,
            data_root,
            progress,
            workers,
            similar=similarity,
        )
    keep(found)
    _print_ranking(found)
    say(folder / "ranking.png")


@app.command("random-kernels")
@on_workers
def random_kernels(
    spec: SpecFile = None,
    kernels: Annotated[
        str,
        typer.Option(help="Numbers of random kernels, separated by commas; infinite is allowed."),
    ] = "8,500,1000,infinite",
    train_images: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            min=1,
            max=MOST_IMAGES,
            help="Training images; by default the spec's.",
            show_default=False,
        ),
    ] = None,
    seeds: Annotated[int, count("Number N of seeds of the random kernels, 0 to N - 1.")] = 3,
    out: StudyOut = None,
    settings: Settings = None,
    data_root: DataRoot = None,
    *,
    workers: Workers,
) -> None:
    """Train a dense head on fixed random kernels, as in table 5 of the paper."""
    more = [] if train_images is None else [f"data.train_images={train_images}"]
    stated, folder = state_run(spec, [*(settings or ()), *more], out, "random-kernels")
    from hybridonn.studies.random_kernels import parse_counts
    from hybridonn.studies.random_kernels import random_kernels as draw_random_kernels

    counts, infinite = parse_counts(kernels)
    with show_bars() as progress:
        table = draw_random_kernels(
            stated,
            counts,
            seeds,
            folder,
            data_root,
            progress,
            infinite=infinite,
            workers=workers,
        )
    keep(table)
    _print_random_kernels(table)
    say(folder / "random_kernels.png")


@app.command()
@on_workers
def readout(
    spec: SpecFile = None,
    pooled_size: Annotated[
        str, typer.Option(help="Camera pixels along a side of an image, separated by commas.")
    ] = "2,4,8",
    bits: Annotated[str, typer.Option(help="Bits of the camera, separated by commas.")] = "4,8",
    kernels: Annotated[
        str, typer.Option(help="Numbers of ideal kernels, separated by commas.")
    ] = "4,8,16",
    optics: Annotated[
        str,
        typer.Option(
            help="Optics in front of the camera: lens, ideal, or both, separated by a comma."
        ),
    ] = "lens,ideal",
    seeds: Annotated[int, count("Number N of seeds, 0 to N - 1, the same for all optics.")] = 3,
    out: StudyOut = None,
    settings: Settings = None,
    data_root: DataRoot = None,
    *,
    workers: Workers,
) -> None:
    """Compare a plain lens and ideal kernels by the numbers that the camera reads out."""
    from hybridonn.studies.optics_choice import parse_optics

    chosen = parse_optics(optics, ("lens", "ideal"))
    stated, folder = state_run(spec, settings, out, "readout")
    from hybridonn.studies.readout import Grid, parse_numbers, sweep_readout

    grid = Grid(
        parse_numbers("--pooled-size", pooled_size),
        parse_numbers("--bits", bits),
        parse_numbers("--kernels", kernels),
        chosen,
    )
    with show_bars() as progress:
        found = sweep_readout(stated, grid, seeds, folder, data_root, progress, workers)
    keep(found)
    _print_readout(found)
    say(folder / "readout.png")


@app.command()
@on_workers
def regimes(
    spec: SpecFile = None,
    images: Annotated[
        str, typer.Option(help="Numbers of training images, separated by commas; all is allowed.")
    ] = "100,1000,all",
    epochs: Annotated[
        str, typer.Option(help="Training budgets in epochs, separated by commas.")
    ] = "10,40",
    discrepancies: Annotated[
        str, typer.Option(help="Discrepancies of NTKD to compare, separated by commas.")
    ] = "cka,ridge_cka",
    grid: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            metavar="KEY=V1,V2",
            help="Values that each method tries at each point; may be given several times.",
            show_default=False,
        ),
    ] = None,
    seeds: Annotated[int, count("Number N of seeds, 0 to N - 1, the same for all methods.")] = 3,
    tuning_seeds: Annotated[
        int, count("So many of the seeds choose the values, by the validation images.")
    ] = 1,
    out: StudyOut = None,
    settings: Settings = None,
    data_root: DataRoot = None,
    *,
    workers: Workers,
) -> None:
    """Map where KD and NTKD pay over training images and training budget."""
    from hybridonn.studies.methods import parse_grid

    stated, folder = state_run(spec, settings, out, "regimes")
    from hybridonn.studies import regimes as study
    from hybridonn.studies import regimes_grid as listed

    tried = listed.Grid(
        listed.parse_images(images),
        listed.parse_epochs(epochs),
        listed.parse_discrepancies(discrepancies),
        parse_grid(grid or []),
    )
    with show_bars() as progress:
        found = study.study_regimes(
            stated, tried, seeds, tuning_seeds, folder, data_root, progress, workers
        )
    keep(found)
    _print_regimes(found)
    say(folder / "regimes.png")


@app.command()
@on_workers
def strategies(
    spec: SpecFile = None,
    epochs: Annotated[
        str, typer.Option(help="Budgets in epochs of training end to end, separated by commas.")
    ] = "1,3",
    variants: Annotated[
        str, typer.Option(help="Strategies to compare, separated by commas.")
    ] = "kernels_first,refit,lens,lens_cropped,end_to_end",
    seeds: Annotated[int, count("Number N of seeds, 0 to N - 1, the same for all.")] = 3,
    out: StudyOut = None,
    settings: Settings = None,
    data_root: DataRoot = None,
    *,
    workers: Workers,
) -> None:
    """Compare kernels first with end to end at equal numbers of PSF evaluations."""
    stated, folder = state_run(spec, settings, out, "strategies")
    from hybridonn.studies import strategies as study

    budgets, chosen = study.parse_epochs(epochs), study.parse_variants(variants)
    with show_bars() as progress:
        found = study.study_strategies(
            stated, budgets, chosen, seeds, folder, data_root, progress, workers
        )
    keep(found)
    _print_strategies(found)
    say(folder / "strategies.png")


def _print_strategies(found: dict[str, Any]) -> None:
    columns = ("strategy", "epochs", "PSF evaluations", "seconds", found["label"], "cropped PSFs")
    rows = [
        (
            one["label"],
            f"{one['epochs']}",
            f"{one['evaluations']:,.0f}",
            f"{one['seconds']:.1f}",
            f"{100 * one['mean']:.2f}",
            f"{100 * one['cropped']:.2f}",
        )
        for one in found["points"]
    ]
    _print_rows(f"{found['design']}: {say_seeds(found['seeds'])}", columns, rows)
    for line in found["sentences"]:
        say(line)


def _print_regimes(found: dict[str, Any]) -> None:
    columns = ("images", "epochs", "method", found["label"], "difference", "seconds")
    rows = []
    for point in found["points"]:
        against = {one["variant"]: one for one in point["differences"]}
        for name, one in point["variants"].items():
            place = f"{point['images']:,}", f"{point['epochs']}", one["label"]
            numbers = f"{100 * one['mean']:.2f}", _show_difference(against.get(name))
            rows.append((*place, *numbers, f"{one['seconds']:.1f}"))
    counts = {one["n"] for point in found["points"] for one in point["differences"]}
    seeds = say_seeds(found["seeds"])
    if len(counts) > 1:  # points of earlier calls may have others
        seeds = f"{min(counts)} to {max(counts)} paired seeds"
    _print_rows(f"{found['design']}: {seeds}", columns, rows)
    for line in found["sentences"]:
        say(line)
    say(
        "difference: of KD to the task alone, of NTKD to KD, in points with its 95 % interval; "
        "seconds: of one training"
    )


def _print_ranking(found: dict[str, Any]) -> None:
    from hybridonn.reports.figures.ranking import say_correlation, say_time

    columns = (
        "estimate",
        "Spearman (95 %)",
        "mean error",
        "bias (95 %)",
        "regret",
        "training time",
    )
    rows = [
        (
            f"{kind} kernels",
            say_correlation(one),
            f"{one['mean_error_points']:.2f}",
            f"{one['bias_points']:.2f} [{one['bias_points_low']:.2f}, "
            f"{one['bias_points_high']:.2f}]",
            f"{one['regret_points']:.2f}",
            say_time(one["time_share"]),
        )
        for kind, one in found["estimates"].items()
    ]
    if similar := found.get("similarity"):
        name = "kernel similar to the teacher's"
        rows.append(
            (name, say_correlation(similar), "-", "-", "-", say_time(similar["time_share"]))
        )
    low, high = (100 * found[f"trained_{end}"] for end in ("low", "high"))
    title = f"{found['name']}: {len(found['designs'])} designs, {low:.1f} to {high:.1f} % trained"
    _print_rows(title, columns, rows)


def _print_random_kernels(table: dict[str, Any]) -> None:
    columns = ("kernels", "accuracy", "95 %", "standard deviation", "paper", "seconds", "head")
    rows = [
        (
            one["kernels"],
            f"{100 * one['mean']:.2f} %",
            "-" if one["low"] is None else f"{100 * one['low']:.2f} to {100 * one['high']:.2f}",
            "-" if one["standard_deviation"] is None else f"{100 * one['standard_deviation']:.2f}",
            "-" if one["paper"] is None else f"{one['paper']:.2f} %",
            f"{one['seconds']:.0f}",
            one["method"],
        )
        for one in table["columns"]
    ]
    title = f"{table['name']}: random kernels, {table['train_images']:,} training images"
    _print_rows(title, columns, rows)


def _print_readout(found: dict[str, Any]) -> None:
    columns = ("optics", "pixels", "bits", "numbers read", found["label"], "95 %", "- best lens")
    rows = [
        (
            "lens" if one["optics"] == "lens" else f"{one['kernels']} ideal",
            f"{one['pooled_size']} x {one['pooled_size']}",
            f"{one['bits']}",
            f"{one['numbers']:,}",
            f"{100 * one['mean']:.2f}",
            "-" if one["low"] is None else f"{100 * one['low']:.2f} to {100 * one['high']:.2f}",
            _show_difference(one.get("no_more_numbers")),
        )
        for one in found["points"]
    ]
    _print_rows(f"{found['design']}: {say_seeds(found['seeds'])}", columns, rows)
    for line in found["sentences"]:
        say(line)
    say("the best lens: of those with the same bits that read no more numbers")


def _show_difference(found: dict[str, Any] | None) -> str:
    """A difference in points with its interval."""
    if found is None:
        return "-"
    head = f"{100 * found['mean']:+z.2f}"
    if found["low"] is None:
        return head
    return f"{head} [{100 * found['low']:+z.2f}, {100 * found['high']:+z.2f}]"


def _print_rows(title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich.table import Table

    table = Table(title=title, title_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    for row in rows:
        table.add_row(*row)
    show_table(table)
