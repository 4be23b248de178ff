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
    span,
)
from hybridonn.reports.sections.all import list_pictures
from hybridonn.reports.sections.chip_wording import list_chip_tiles
from hybridonn.reports.verdict import describe_run, reach_design


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
    pictures = list_pictures(artefacts)
    drawn = [picture.draw() for picture in pictures]
    shown = []
    for picture, figure in zip(pictures, drawn, strict=True):
        _, svg = save_figure(figure, run / "figures" / picture.name)
        source = f"data:image/svg+xml;base64,{b64encode(svg.read_bytes()).decode('ascii')}"
        shown.append({"picture": picture, "source": source})
    report = run / "report.html"
    write_text(report, render_report(artefacts, shown))
    return report


def render_report(run: Run, figures: list[dict[str, Any]]) -> str:
    """The report as HTML, every text from the run escaped.

    Args:
        run: The artefacts.
        figures: Each ``picture`` with its ``source``, a data URI.
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
        verdict=describe_run(run),
        masks=run.overlays is not None,
        tiles=list_tiles(run),
        figures=figures,
        results=tabulate(run.results),
        spec=run.spec,
        record=tabulate(_order_record(run.record)),
        finished=moment(run.record.get("finished", "")),
    )


def list_tiles(run: Run) -> list[tuple[str, str, str]]:
    """The key numbers: (what, value, note)."""
    student = run.models["student"].predictions
    tiles = [
        (
            f"student {student.metric}",
            percent(student.value, student.total),
            f"95 %: {interval(student)}",
        )
    ]
    tiles += [*_list_design(run), *list_chip_tiles(run), *_list_teacher(run), *_list_hardware(run)]
    seconds = [
        value for _, value in flatten(run.record["seconds"]) if isinstance(value, int | float)
    ]
    return [*tiles, ("time", duration(sum(seconds)), "all stages together")]


def _list_design(run: Run) -> list[tuple[str, str, str]]:
    """What the designed metasurface reaches; nothing where none is designed."""
    reached = reach_design(run)
    if reached is None:
        return []
    _, value, ends = reached
    total = run.models["student"].predictions.total
    note = "simulated" if ends is None else f"95 %: {span(ends, total)}"
    return [("with the designed metasurface", percent(value, total), note)]


def _list_teacher(run: Run) -> list[tuple[str, str, str]]:
    """The teacher, and how much of it the student keeps where the teacher is the better one."""
    if "teacher" not in run.models:
        return []
    student, teacher = run.models["student"].predictions, run.models["teacher"].predictions
    reached = percent(teacher.value, teacher.total)
    tiles = [(f"teacher {teacher.metric}", reached, f"95 %: {interval(teacher)}")]
    if teacher.value >= student.value > 0:
        kept = percent(student.value / teacher.value, student.total)
        tiles.append(("of the teacher kept", kept, f"student / teacher {teacher.metric}"))
    return tiles


def _list_hardware(run: Run) -> list[tuple[str, str, str]]:
    bands = run.kernels.shape[1]
    sizes = dict.fromkeys(f"{branch.size} × {branch.size}" for branch in run.branches)
    size = " and ".join(sizes) + (f", {bands} bands" if bands > 1 else "")
    layout = run.layout
    sides = f"{layout.width_m * 1e3:.6g} × {layout.height_m * 1e3:.6g} mm"
    used = f"{2 * layout.kernels} of {layout.rows * layout.columns} sites in use"
    tiles = [("optical kernels", str(len(run.kernels)), size), ("metasurface", sides, used)]
    digital = look_up(run.results, "student.parameters.digital")
    if digital is not None:
        optical = look_up(run.results, "student.parameters.optical")
        note = "" if optical is None else f"and {number(optical)} optical"
        tiles.insert(1, ("digital parameters", number(digital), note))
    return tiles


def tabulate(tree: dict[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """A tree as tables: (section, rows of key and value), loose values first."""
    loose = [(key, number(value)) for key, value in tree.items() if not isinstance(value, dict)]
    sections = [
        (key, [(name, number(leaf)) for name, leaf in flatten(value)])
        for key, value in tree.items()
        if isinstance(value, dict)
    ]
    return [("", loose), *sections] if loose else sections


def _order_record(record: dict[str, Any]) -> dict[str, Any]:
    """Known sections in a reader's order, then whatever else there is."""
    known = ("command", "started", "finished", "data", "seconds", "seeds", "machine", "versions")
    ordered = {key: record[key] for key in known if key in record}
    return ordered | {key: value for key, value in record.items() if key not in ordered}
