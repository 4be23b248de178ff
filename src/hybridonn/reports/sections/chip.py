"""The chip's part of the report: its figures and the captions that tell how to read them."""

from __future__ import annotations

from hybridonn.reports.artefacts.chip import Chip
from hybridonn.reports.artefacts.run import Run, chip_of
from hybridonn.reports.figures.chip import draw_treatments
from hybridonn.reports.formats import percent, span
from hybridonn.reports.sections.chip_wording import describe_chip, summarise_chip
from hybridonn.reports.sections.section import ReportFigure, Section, Tile
from hybridonn.reports.tables.treatments import list_treatments

INTERVALS = (
    "Dots are the metric on {captures} test captures, bars its 95 % intervals, the dashed line and "
    "the grey band the network with ideal optics on {images}. "
)


def _build(run: Run) -> list[ReportFigure]:
    chip = chip_of(run)
    student = run.models["student"].predictions
    images, metric = "the same images", run.task.label
    if chip.ideal.scores is None:
        images = f"all {student.total:,} test images, which are not the same ones"
    words = [
        INTERVALS.format(captures=f"{chip.total:,}", images=images),
        "“As fabricated” is the trained network behind the chip as it came out. ",
    ]
    if chip.kept:
        words.append(
            "“Calibrated” sets its backend anew in closed form on the captures, without labels; "
            "fine-tuning starts from there, on labels alone, with the teacher's outputs (KD), or "
            "with its outputs and its tangent kernel (NTKD). The bold one is left to the chip: the "
            "best on captures held out, which neither it nor the other candidates had seen; it was "
            "then made again of all captures. "
            "Differences are of pairs: both sides on the same images; the step before a "
            "fine-tuning is the calibration, that before the calibration the chip as fabricated. "
            "Intervals tell how far chance in the choice of test images may move a number, not "
            "how far other captures or another chip would. The share of the loss is left out "
            "where the loss itself is within that chance."
        )
    words += _say_missing(chip)
    return [
        ReportFigure(
            "chip",
            "The chip",
            f"Test {metric} with ideal optics, as fabricated and compensated",
            "".join(words),
            lambda: draw_treatments(chip, run.task),
            tuple(list_treatments(run)),
            describe_chip(run).replace(" %", "\u00a0%"),  # no line starts with a per cent sign
        )
    ]


def _say_missing(chip: Chip) -> list[str]:
    """What this report does not show of the chip, and why."""
    said = []
    if chip.optics is None:
        said.append(
            " No point spread functions were captured, so none are shown: capture the image of "
            "a point, too (hybridonn captures template)."
        )
    if chip.kept and chip.fractions is None:
        said.append(
            " For a curve over the number of captures set compensation.fractions, to "
            "[0.01, 0.03] for example."
        )
    return said


def list_chip_tiles(run: Run) -> list[Tile]:
    """The key numbers: (what, value, note)."""
    chip = chip_of(run)
    total = chip.total
    shown = [("on the chip as fabricated", chip.treatments[0])]
    shown += [("on the chip compensated", chip.kept)] if chip.kept else []
    return [
        (what, percent(one.value, total), f"95 %: {span(one.interval, total)}")
        for what, one in shown
    ]


CHIP = Section(
    "chip",
    wanted=lambda run: run.chip is not None,
    build=_build,
    verdict=lambda run: [summarise_chip(run)],
    tiles=list_chip_tiles,
)
