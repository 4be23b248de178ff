"""The point spread functions of the designed metasurface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hybridonn.reports.artefacts.run import Run, optics_of
from hybridonn.reports.figures.psfs import draw_optics
from hybridonn.reports.formats import LEAST, percent, points, span
from hybridonn.reports.sections.section import ReportFigure, Section, Tile
from hybridonn.reports.statistics import wilson_interval
from hybridonn.reports.tables.metasurface import list_numbers
from hybridonn.reports.tables.pillars import list_wavelengths, name_material


def _build(run: Run) -> ReportFigure:
    optics = optics_of(run)
    apart = old = ""
    if run.width_maps is None:
        old = (
            " Widths and phases of the pillars are not shown: the version that made this design "
            "kept no phases. Remove the folder metasurface and run the same command again."
        )
    if optics.binnings.max() > 1:
        apart = (
            " A kernel that is read out at 1/b of the resolution lies on the sensor as spots b "
            "pixels apart; b × b pixels of its image are summed."
        )
    return ReportFigure(
        "optics",
        "What the metasurface does",
        "Wanted and simulated point spread functions of some kernels",
        "The point spread functions (PSFs) of the designed pillars beside their targets, upright: "
        "a kernel turned by half a turn. “Wanted” and “camera” are light a pixel in units of the "
        "kernel's weights, “light” is the light before the camera's pixels add it up, each on "
        "its own scale; dashes frame the kernel. On the right, positive less negative part within "
        "that frame. Below, kernel error is the relative Euclidean distance of the two, root D "
        "and the loss are those of Xiang et al., efficiency is the light within the frame over "
        "the light that falls on the sub-optic, and cross-talk the light of neighbouring "
        "sub-optics over a sub-optic's own, where the sensor reads it." + old + apart,
        lambda: draw_optics(optics),
        tuple(list_numbers(optics, run.task)),
    )


def reach_design(run: Run) -> tuple[str, float, tuple[float, float] | None] | None:
    """The metric behind the designed metasurface: its name, value and 95 % interval.

    None: no metasurface was designed. Where an image is right or wrong, the interval is
    Wilson's; otherwise the stage keeps no image's score, so there is none.
    """
    if run.optics is None:
        return None
    student = run.models["student"].predictions
    value = optics_of(run).results.get(run.task.metric)
    if not isinstance(value, int | float):
        return None
    ends = None
    if run.task.whole:
        ends = wilson_interval(round(value * student.total), student.total)
    return run.task.label, float(value), ends


def _describe_design(run: Run) -> str:
    """The designed metasurface in a sentence: what it is made of and what it reaches."""
    student = run.models["student"].predictions
    made = describe_pillars(optics_of(run).results, optics_of(run).wavelengths_nm)
    reached = reach_design(run)
    if reached is None:
        return f"Its metasurface was designed: {made}."
    metric, value, ends = reached
    sure = "" if ends is None else f" ({span(ends, student.total)})"
    gain = value - student.value
    against = "as many as ideal optics"
    if abs(gain) > LEAST:
        against = (
            f"{points(gain, student.total)} {'more' if gain > 0 else 'less'} than ideal optics"
        )
    return (
        f"With its designed metasurface, {made}, the simulation reaches "
        f"{percent(value, student.total)} {metric}{sure} on the same images, {against}."
    )


def describe_pillars(numbers: dict[str, Any], wavelengths_nm: Sequence[float]) -> str:
    """What a metasurface is made of, in words.

    Args:
        numbers: The numbers of the stage ``metasurface``; those of an earlier version lack some.
        wavelengths_nm: Wavelengths of the design.
    """
    light = f"designed for {list_wavelengths(wavelengths_nm)} nm"
    if "height_nm" not in numbers:
        return f"pillars {light}"
    return (
        f"pillars of {name_material(numbers['material'])} on "
        f"{name_material(numbers['substrate'])}, {numbers['height_nm']:g} nm high and "
        f"{numbers['narrowest_nm']:g} to {numbers['widest_nm']:g} nm wide, one every "
        f"{numbers['period_nm']:g} nm, {light}, numerical aperture (NA) "
        f"{numbers['numerical_aperture']:.3g}"
    )


def _list_design(run: Run) -> list[Tile]:
    """What the designed metasurface reaches; nothing where none is designed."""
    reached = reach_design(run)
    if reached is None:
        return []
    _, value, ends = reached
    total = run.models["student"].predictions.total
    note = "simulated" if ends is None else f"95 %: {span(ends, total)}"
    return [("with the designed metasurface", percent(value, total), note)]


METASURFACE = Section(
    "metasurface",
    wanted=lambda run: run.optics is not None,
    build=lambda run: [_build(run)],
    verdict=lambda run: [_describe_design(run)],
    tiles=_list_design,
)
