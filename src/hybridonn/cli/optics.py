"""The commands ``hybridonn optics ...``: libraries of meta-atoms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from hybridonn.cli.options import calm_threads, count, new_app, not_negative, positive
from hybridonn.cli.output import say
from hybridonn.cli.screen import show_bars

if TYPE_CHECKING:
    from hybridonn.optics.meta_atoms.pillars import PillarLibrary

app = new_app("Meta-atoms: the transmission of pillars.")

MaterialFile = Annotated[
    Optional[Path],  # noqa: UP045  typer reads the annotation
    typer.Option(help="Index of the pillars: a file of the refractiveindex.info database."),
]
SubstrateFile = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(help="Index of the substrate: a file of the same database."),
]


@app.command()
def library(
    material: MaterialFile = None,
    substrate: SubstrateFile = None,
    height_nm: Annotated[float, positive("Height of the pillars.")] = 750,
    period_nm: Annotated[
        float, positive("Distance from pillar to pillar, centre to centre.")
    ] = 293,
    widths_nm: Annotated[
        str,
        typer.Option(
            help="FIRST:LAST:STEP, or widths separated by commas; 0 (no pillar) is added."
        ),
    ] = "65:237:1",
    wavelengths_nm: Annotated[
        str, typer.Option(help="Wavelengths in vacuum, separated by commas.")
    ] = "635,532,450",
    harmonics: Annotated[int, count("Highest Fourier harmonic in x and in y.", most=50)] = 7,
    minimum_gap_nm: Annotated[float, not_negative("Least gap between neighbouring pillars.")] = 50,
    out: Annotated[Path, typer.Option(help="CSV file to write.")] = Path("pillars.csv"),
) -> None:
    """Compute a library of square pillars; also write its convergence record and a figure.

    By default silicon nitride on quartz, the library that comes with the package. The solver is
    meent: pip install 'hybridonn[rcwa]'.
    """
    calm_threads()
    from hybridonn.optics.meta_atoms.library_run import make_library, parse_lengths
    from hybridonn.optics.meta_atoms.materials import packaged_file, read_material
    from hybridonn.optics.meta_atoms.rcwa import PillarCell

    cell = PillarCell(
        period_nm * 1e-9,
        height_nm * 1e-9,
        read_material(material or packaged_file("Si3N4/Beliaev.yml")),
        read_material(substrate or packaged_file("SiO2/Malitson.yml")),
        minimum_gap_nm * 1e-9,
    )
    widths = parse_lengths("--widths-nm", widths_nm)
    wavelengths = parse_lengths("--wavelengths-nm", wavelengths_nm)
    with show_bars() as progress:
        made = make_library(cell, widths, wavelengths, harmonics, out, progress)
    _tell(made, out)


@app.command()
def show(
    file: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(help="Library to check (CSV); by default that of the package."),
    ] = None,
    out: Annotated[Path, typer.Option(help="PNG file to write.")] = Path("pillars.png"),
) -> None:
    """Check a library of meta-atoms, from this or another solver, and draw it."""
    calm_threads()
    from hybridonn.optics.meta_atoms.pillars import PillarLibrary, default_library

    _tell(PillarLibrary.read_csv(file) if file else default_library(), out)


def _tell(library: PillarLibrary, beside: Path) -> None:
    """Draw the library beside a file, print what matters of it, and name the image."""
    from hybridonn.optics.meta_atoms.published_phase import summarise
    from hybridonn.reports.figures.pillar_library import draw_library
    from hybridonn.reports.figures.save import save_figure

    say(f"{library.source or 'source not stated'}")
    for row in summarise(library):
        say(row)
    picture, _ = save_figure(draw_library(library), beside.with_suffix(""))
    say(picture)
