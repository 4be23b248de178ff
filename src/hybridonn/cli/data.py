"""The commands ``hybridonn data ...``: what a data set holds, before anything is trained."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from hybridonn.cli.options import (
    DataRoot,
    Settings,
    SpecFile,
    name_command,
    new_app,
    state_run,
)
from hybridonn.cli.output import keep, say
from hybridonn.cli.screen import show_bars, show_table

app = new_app("Check data sets before training.")

SHOWN_SIZES = 5  # with more, the screen shows their range; the file has all
SHOWN_FAULTS = 40  # likewise
SHOWN_CLASSES = 20  # of a set with more, the table shows the first ones; the file has all


@app.callback()
def _data() -> None:
    """Check data sets before training."""


@app.command()
def check(
    spec: SpecFile = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045  typer reads the annotation
        typer.Option(
            "--out", help="Where to write; by default runs/NAME-data.", show_default=False
        ),
    ] = None,
    settings: Settings = None,
    data_root: DataRoot = None,
) -> None:
    """Show counts, class balance, sizes, a contact sheet, and what is wrong; status 1 if so.

    A set that passes can be trained as the spec says.
    """
    stated, folder = state_run(spec, settings, out, "data")
    from hybridonn.core.files import write_json
    from hybridonn.core.tables import import_code
    from hybridonn.data.survey import survey_data
    from hybridonn.pipeline.preflight import refuse_early, refuse_unread
    from hybridonn.reports.figures.save import save_figure
    from hybridonn.tasks.task import make_task

    def check_run(dataset: Any) -> None:
        refuse_unread(stated)
        refuse_early(stated, dataset)

    with show_bars() as progress:
        survey, images = survey_data(stated.data, data_root, progress, check_run)
    write_json(folder / "survey.json", survey.to_dict())
    draw = import_code(make_task(stated.task).contact_sheet)
    figure = draw(survey.name, images.images.numpy(), images.labels.numpy(), survey.classes)
    save_figure(figure, folder / "contact_sheet")
    keep(survey.to_dict())
    _print_survey(survey)
    say(folder / "contact_sheet.png")
    _refuse(survey, stated.data.skip_bad)
    if spec is not None:
        step = "run" if make_task(stated.task).unestimated else "estimate"
        say(f"next: {name_command(step, spec, settings, data_root)}")


def _refuse(survey: Any, skip_bad: bool) -> None:
    from hybridonn.core.errors import DataError

    if survey.obstacles:
        raise DataError(f"{survey.name} cannot be trained as it is: {survey.obstacles[0]}")
    if survey.faults and not skip_bad:
        number = len(survey.faults)
        raise DataError(
            f"{survey.name} has {number} fault{'s' * (number > 1)}, named above; mend the files, "
            "or leave them out and count them with data.skip_bad: true"
        )
    if survey.faults:
        left = len(survey.faults)
        say(f"left out with data.skip_bad: {left} file{'s' * (left > 1)} or folders, named above")


def _print_survey(survey: Any) -> None:
    from rich.table import Table

    from hybridonn.data.dataset import PARTS

    channels, height, width = survey.image_shape
    table = Table(title=f"{survey.name}: {channels} x {height} x {width}", title_style="bold")
    table.add_column("share")
    for part, count in survey.counts.items():
        table.add_column(f"{PARTS[part]} {count:,}", justify="right")
    for name, shares in list(survey.balance.items())[:SHOWN_CLASSES]:
        table.add_row(name, *(f"{100 * share:.2f} %" for share in shares.values()))
    if len(survey.balance) > SHOWN_CLASSES:
        table.add_row(f"and {len(survey.balance) - SHOWN_CLASSES} more classes")
    show_table(table)
    values = zip(survey.mean, survey.standard_deviation, strict=True)
    channels = ", ".join(f"{mean:.4f} +- {deviation:.4f}" for mean, deviation in values)
    say(f"mean and standard deviation a channel: {channels}")
    for line in _describe_stored(survey.stored):
        say(line)
    for line in survey.remarks:
        say(f"remark: {line}")
    for line in survey.faults[:SHOWN_FAULTS]:
        say(f"fault: {line}")
    if len(survey.faults) > SHOWN_FAULTS:
        say(f"and {len(survey.faults) - SHOWN_FAULTS:,} more faults, all in survey.json")


def _describe_stored(stored: Mapping[str, int]) -> Iterator[str]:
    """How the images are stored: the most frequent sizes, or the range of many."""
    from hybridonn.data.readers.image_files import describe_sizes

    if len(stored) <= SHOWN_SIZES:
        for shape, count in sorted(stored.items(), key=lambda pair: -pair[1]):
            yield f"{count:,} stored as {shape}"
        return
    for kind in dict.fromkeys(shape.split(", ", 1)[1] for shape in stored):
        alike = {shape: count for shape, count in stored.items() if shape.endswith(f", {kind}")}
        numbers = [re.findall(r"\d+", shape) for shape in alike]
        sizes = [(int(height), int(width)) for height, width, *_ in numbers]
        yield f"{sum(alike.values()):,} stored as {describe_sizes(sizes)}, {kind}"
