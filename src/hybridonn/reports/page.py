"""The HTML report of a finished run: one file that needs nothing else."""

from __future__ import annotations

from base64 import b64encode
from importlib.resources import files
from pathlib import Path
from typing import Any

from hybridonn.core.files import write_text
from hybridonn.reports.artefacts.run import Run, read_run
from hybridonn.reports.figures.save import save_figure
from hybridonn.reports.formats import (
    duration,
    flatten,
    interval,
    look_up,
    moment,
    number,
    percent,
)
from hybridonn.reports.sections.all import list_figures, list_sections
from hybridonn.reports.sections.section import Tile
from hybridonn.reports.tables.run import order_record, tabulate
from hybridonn.reports.verdict import describe_run


def write_report(run: Path) -> Path:
    """Draw all figures of a finished run and write its report.html.

    Everything is read, checked and drawn before anything is written, so that a run
    folder with a bad file keeps its old report and figures.

    Args:
        run: The run folder.

    Returns:
        The report.

    Raises:
        ArtefactError: An artefact is missing, damaged or contradicts another one, or
            a file cannot be written.
    """
    artefacts = read_run(run)
    figures = list_figures(artefacts)
    drawn = [figure.draw() for figure in figures]
    shown = []
    for figure, drawing in zip(figures, drawn, strict=True):
        _, svg = save_figure(drawing, run / "figures" / figure.name)
        source = f"data:image/svg+xml;base64,{b64encode(svg.read_bytes()).decode('ascii')}"
        shown.append({"figure": figure, "source": source})
    report = run / "report.html"
    write_text(report, render_report(artefacts, shown))
    return report


def render_report(run: Run, figures: list[dict[str, Any]]) -> str:
    """The report as HTML, every text from the run escaped.

    Args:
        run: The artefacts.
        figures: Each ``figure`` with its ``source``, a data URI.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    room = files("hybridonn.reports")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string((room / "report.html").read_text("utf-8"))
    return template.render(
        title=run.folder.resolve().name,
        style=Markup((room / "report.css").read_text("utf-8")),
        verdict=[one.replace(" %", "\u00a0%") for one in describe_run(run)],
        whole=run.task.whole,
        measures_note=run.task.measures_note,
        shown={section.name for section in list_sections(run)},
        tiles=list_tiles(run),
        figures=figures,
        results=tabulate(run.results),
        spec=run.spec_text,
        record=tabulate(order_record(run.record)),
        finished=moment(run.record.get("finished", "")),
    )


def list_tiles(run: Run) -> list[Tile]:
    """The key numbers: (what, value, note)."""
    student = run.models["student"].predictions
    tiles = [
        (
            f"student {run.task.label}",
            percent(student.value, student.total),
            f"95 %: {interval(student)}",
        )
    ]
    tiles += [tile for section in list_sections(run) for tile in section.tiles(run)]
    tiles += [*_list_teacher(run), *_list_hardware(run)]
    seconds = [
        value for _, value in flatten(run.record["seconds"]) if isinstance(value, int | float)
    ]
    return [*tiles, ("time", duration(sum(seconds)), "all stages together")]


def _list_teacher(run: Run) -> list[Tile]:
    """The teacher, and how much of it the student keeps where the teacher is the better one."""
    if "teacher" not in run.models:
        return []
    student, teacher = run.models["student"].predictions, run.models["teacher"].predictions
    reached = percent(teacher.value, teacher.total)
    tiles = [(f"teacher {run.task.label}", reached, f"95 %: {interval(teacher)}")]
    if teacher.value >= student.value > 0:
        kept = percent(student.value / teacher.value, student.total)
        tiles.append(("of the teacher kept", kept, f"student / teacher {run.task.label}"))
    return tiles


def _list_hardware(run: Run) -> list[Tile]:
    bands = run.kernels.shape[1]
    sides = dict.fromkeys(branch.kernel_size for _, branch in run.branches)
    size = " and ".join(f"{side} × {side}" for side in sides) + (
        f", {bands} bands" if bands > 1 else ""
    )
    layout = run.layout
    kind = "digital" if layout is None else "optical"
    tiles = [(f"{kind} kernels", str(len(run.kernels)), size)]
    if layout is not None:
        extent = f"{layout.width_m * 1e3:.6g} × {layout.height_m * 1e3:.6g} mm"
        used = f"{2 * layout.kernels} of {layout.rows * layout.columns} sites in use"
        tiles.append(("metasurface", extent, used))
    digital = look_up(run.results, "student.parameters.digital")
    if digital is not None:
        optical = look_up(run.results, "student.parameters.optical")
        note = "" if optical is None else f"and {number(optical)} optical"
        tiles.insert(1, ("digital parameters", number(digital), note))
    return tiles
