"""The commands of a trained network on its way to a device."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from hybridonn.cli.options import (
    DataRoot,
    LocalData,
    Run,
    calm_threads,
    count,
    name_command,
    not_negative,
    positive,
    refuse,
)
from hybridonn.cli.output import current, say
from hybridonn.cli.screen import print_line, print_rows, print_table, show_bars
from hybridonn.cli.summary import RUNTIMES

Targets = Annotated[
    Optional[list[str]],  # noqa: UP045  typer reads it
    typer.Option(
        "--target",
        help="Format to write beside ONNX: c or tflite-micro; repeatable. Each call writes the "
        "folder anew: name all that it is to hold.",
    ),
]

FITS = (None, "crop", "pad", "stretch")


def deploy(
    run: Run,
    target: Targets = None,
    calibration: Annotated[
        int, count("Number of training images that set the ranges of the 8-bit integers.")
    ] = 512,
    captures: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Captures of the real chip on which the run was compensated."),
    ] = None,
    data_root: DataRoot = None,
) -> None:
    """Write the network of a finished run as files that run without torch."""
    calm_threads()
    from hybridonn.deployment.boards import explain_boards
    from hybridonn.pipeline.deploy import deploy as deploy_run
    from hybridonn.pipeline.deploy import explain_losses

    with show_bars() as progress:
        results = deploy_run(run, tuple(target or ()), calibration, data_root, progress, captures)
    print_table(run.name, {"deployed": results})
    for line in explain_losses(results):
        say(line)
    if "flash_needed_bytes" in results.get("c", {}):
        say(explain_boards(results["c"]))
    say(run / "deployed")
    say(f"next: {name_command('predict', run)} IMAGES")


def cost(
    run: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(metavar="RUN", help="A finished run folder; not with --paper."),
    ] = None,
    paper: Annotated[
        bool,
        typer.Option(
            "--paper", help="Print the energies of the networks of the paper in place of RUN."
        ),
    ] = False,
    assume: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            help="Assumption of the energy: paper, float32, int8, mcu-low or mcu-high; repeatable; "
            "by default all."
        ),
    ] = None,
    mac_pj: Annotated[
        Optional[float],  # noqa: UP045
        positive("Energy of a multiply-accumulate of your processor, in picojoules."),
    ] = None,
    capture_mj: Annotated[
        float, not_negative("Energy of a capture behind a lens, in millijoules.")
    ] = 0,
    hybrid_capture_mj: Annotated[
        float, not_negative("Energy of a capture behind the optics, in millijoules.")
    ] = 0,
) -> None:
    """Print the cost of an image: multiply-accumulates, read-out, energy under assumptions."""
    calm_threads()
    from hybridonn.deployment.energy import (
        PAPER_NETWORKS,
        choose_assumptions,
        tabulate_energy,
    )

    assumptions = choose_assumptions(assume or [], mac_pj, capture_mj, hybrid_capture_mj)
    latency: dict[str, Any] = {}
    if paper:
        costs = list(PAPER_NETWORKS)
    elif run is None:
        refuse("name a run, or give --paper")
    else:
        from hybridonn.pipeline.cost import cost_run, read_latency
        from hybridonn.pipeline.loaded_run import load_run

        found = load_run(run)
        costs, latency = cost_run(found), read_latency(found)
    energy = tabulate_energy(costs, assumptions)
    rows = [one.as_row() for one in costs]
    current().document.update(cost=rows, energy=energy, latency_us=latency)
    print_rows("an image", [_leave_zeros(row) for row in rows])
    names = {one.label: one.name for one in assumptions}
    print_rows("energy of an image", _spread_energy(energy, names))
    for one in assumptions:
        meaning = one.label.removeprefix(one.name + ": ")
        say(f"{one.name}: {meaning}; {one.source}")
    if latency:
        print_rows("microseconds of the backend, one thread", [latency], RUNTIMES)


def _leave_zeros(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if value != 0}


def _spread_energy(energy: list[dict[str, Any]], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """A row for each network, a column for each assumption by its short name."""
    rows: dict[str, dict[str, Any]] = {}
    for one in energy:
        row = rows.setdefault(one["network"], {"network": one["network"]})
        row[names[one["assumption"]]] = _write_energy(one["joules"])
    return list(rows.values())


def _write_energy(joules: float) -> str:
    """An energy with a unit that can be read."""
    unit, factor = next(
        (pair for pair in (("J", 1), ("mJ", 1e3), ("uJ", 1e6)) if joules * pair[1] >= 1),
        ("nJ", 1e9),
    )
    return f"{joules * factor:.3g} {unit}"


def predict(
    system: Annotated[Path, typer.Argument(metavar="SYSTEM", help="A deployed run or a bundle.")],
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="FILES", help="Images, captures (.npz), or folders of them."),
    ],
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--out", help="Folder for predictions.csv, masks and boxes."),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--watch", help="Watch one folder and predict for each new file.")
    ] = False,
    fit: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="How images of another size are fitted: crop, pad or stretch."),
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Use the backend in 8-bit integers; for captures.")
    ] = False,
) -> None:
    """Predict the labels, masks or boxes of images or captures with a deployed run."""
    calm_threads()
    from hybridonn.core.files import write_table
    from hybridonn.pipeline.predict import list_files, open_system, predict_files, watch

    if fit not in FITS:
        refuse(f"--fit is {fit}; allowed are crop, pad and stretch")
    opened = open_system(system, fit, int8)
    if follow:
        if len(paths) != 1:
            refuse(f"--watch follows one folder; {len(paths)} are given")
        answers = watch(opened, paths[0], out, lambda line: typer.echo(line, err=True))
    else:
        answers = predict_files(opened, list_files(paths), out)
    rows: list[dict[str, Any]] = []
    try:
        for row in answers:
            rows.append(row)
            print_line(row)
            if out is not None and follow:
                write_table(out / "predictions.csv", rows)
    finally:  # what was answered before an error or Ctrl-C is kept
        if out is not None and rows:
            write_table(out / "predictions.csv", rows)


def bundle(
    run: Run,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--out", help="File to write; by default RUN.zip.", show_default=False),
    ] = None,
    licence: Annotated[str, typer.Option(help="Licence of the network, such as MIT.")] = "",
    citation: Annotated[
        str, typer.Option(help="Reference to cite beside that of the method.")
    ] = "",
    upload: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="OWNER/NAME",
            help="Also upload the file to this repository of the Hugging Face Hub.",
        ),
    ] = None,
) -> None:
    """Pack a finished run into one file that `predict` and `load_run` open."""
    calm_threads()
    from hybridonn.pipeline.bundle import bundle_run, upload_bundle

    place = bundle_run(run, out, licence, citation)
    say(place)
    if upload is not None:
        say(upload_bundle(place, upload))


def live(
    system: Annotated[Path, typer.Argument(metavar="SYSTEM", help="A deployed run or a bundle.")],
    folder: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="Watch a folder that a camera writes into, in place of the browser's camera."
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=1024, max=65535, help="Port on 127.0.0.1.")] = 8127,
    fit: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="How images of a folder are fitted to the network: crop, pad or stretch."
        ),
    ] = None,
) -> None:
    """Serve a web page on this machine that shows predictions for a camera, until Ctrl-C."""
    calm_threads()
    from hybridonn.live.page import serve
    from hybridonn.pipeline.predict import open_system

    if fit not in FITS:
        refuse(f"--fit is {fit}; allowed are crop, pad and stretch")
    serve(open_system(system, fit), folder, port, say)


def explore(
    runs: Annotated[
        Path, typer.Argument(metavar="RUNS", help="Folder of runs and studies.")
    ] = Path("runs"),
    port: Annotated[int, typer.Option(min=1024, max=65535, help="Port on 127.0.0.1.")] = 8128,
    data_root: LocalData = None,
) -> None:
    """Serve a web page on this machine to explore designs and compare runs, until Ctrl-C."""
    calm_threads()
    from hybridonn.explorer.app import serve

    serve(runs, port, data_root, say)
