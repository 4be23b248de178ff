"""The metasurface, drawn to scale with its dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, log10
from typing import TYPE_CHECKING

from hybridonn.optics.layout.sites import Layout
from hybridonn.reports.figures.style import FAINT, INK, NEGATIVE, POSITIVE, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LARGEST_IN = (6.6, 5.0)  # of the metasurface on the page, width and height
MARGIN_IN = {"left": 1.0, "right": 1.0, "top": 1.05, "bottom": 1.3}
NARROWEST_IN = 7.0  # the title and the legend need this much
ARROW_IN = 0.28
LABEL_IN = 1.9  # a dimension line that has room for its text
MOST_VECTORS = 2000  # sites up to which an SVG draws each as a square of its own


@dataclass(frozen=True)
class Sheet:
    """The axes, in millimetres from the metasurface's centre, and their scale."""

    figure: Figure
    axes: Axes
    mm_per_inch: float
    half_width: float
    half_height: float

    def inches(self, length_mm: float) -> float:
        """How long a length is on the page."""
        return length_mm / self.mm_per_inch


@styled
def draw_layout(layout: Layout) -> Figure:
    """Draw the metasurface to scale: sites, kernels, width, height, site and gap in mm."""
    sheet = _lay_sheet(layout)
    _draw_sites(sheet, layout)
    _draw_outer_dimensions(sheet)
    _draw_inner_dimensions(sheet, layout)
    _draw_scale_bar(sheet)
    _draw_legend(sheet, layout)
    return sheet.figure


def _lay_sheet(layout: Layout) -> Sheet:
    from matplotlib.figure import Figure

    width, height = layout.width_m * 1e3, layout.height_m * 1e3
    mm_per_inch = max(width / LARGEST_IN[0], height / LARGEST_IN[1])
    page_width = max(width / mm_per_inch + MARGIN_IN["left"] + MARGIN_IN["right"], NARROWEST_IN)
    page_height = height / mm_per_inch + MARGIN_IN["top"] + MARGIN_IN["bottom"]
    figure = Figure(figsize=(page_width, page_height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    half = page_width / 2 * mm_per_inch
    axes.set_xlim(-half, half)
    axes.set_ylim(
        -height / 2 - MARGIN_IN["bottom"] * mm_per_inch, height / 2 + MARGIN_IN["top"] * mm_per_inch
    )
    return Sheet(figure, axes, mm_per_inch, width / 2, height / 2)


def _draw_sites(sheet: Sheet, layout: Layout) -> None:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    axes, side = sheet.axes, layout.site_m * 1e3
    corner = (-sheet.half_width, -sheet.half_height)
    size = (2 * sheet.half_width, 2 * sheet.half_height)
    axes.add_patch(Rectangle(corner, *size, facecolor="#f3f4f1", edgecolor=INK, linewidth=1.4))
    fine = sheet.inches(side) < 0.15  # dashes would be longer than the sites
    dashes = "-" if fine else (0, (3, 2))
    looks = {
        1: {"facecolor": POSITIVE, "edgecolor": "none"},
        -1: {"facecolor": NEGATIVE, "edgecolor": "none"},
        0: {
            "facecolor": "white",
            "edgecolor": FAINT,
            "linestyle": dashes,
            "linewidth": 0.8 - 0.5 * fine,
        },
    }
    for sign, look in looks.items():
        squares = [
            Rectangle((site.x_m * 1e3 - side / 2, site.y_m * 1e3 - side / 2), side, side)
            for site in layout.sites
            if site.sign == sign
        ]
        look["rasterized"] = len(layout.sites) > MOST_VECTORS
        axes.add_collection(PatchCollection(squares, **look), autolim=False)
    _number_sites(sheet, layout)


def _number_sites(sheet: Sheet, layout: Layout) -> None:
    digits = len(str(layout.kernels)) + 1
    points = sheet.inches(layout.site_m * 1e3) * 72
    size = min(15.0, points * 1.1 / digits)  # a digit is about 0.65 of its size wide
    if size < 5:
        return  # too small to read: the legend says how the kernels are numbered
    for site in layout.sites:
        if site.kernel is not None:
            text = f"{site.kernel}{'+' if site.sign > 0 else '−'}"
            place = (site.x_m * 1e3, site.y_m * 1e3)
            look = {"color": "white", "fontsize": size, "fontweight": "bold"}
            sheet.axes.text(*place, text, ha="center", va="center_baseline", **look)


def _draw_outer_dimensions(sheet: Sheet) -> None:
    width, height, away = sheet.half_width, sheet.half_height, 0.3 * sheet.mm_per_inch
    top, left = height + away, -width - away
    _extend(sheet, [((x, height), (x, top)) for x in (-width, width)])
    _extend(sheet, [((-width, y), (left, y)) for y in (-height, height)])
    _measure(sheet, (-width, top), (width, top))
    _measure(sheet, (left, -height), (left, height))
    look = {"ha": "center", "va": "center", "bbox": {"facecolor": "white", "edgecolor": "none"}}
    if sheet.inches(2 * width) < LABEL_IN:
        top += 0.2 * sheet.mm_per_inch
    sheet.axes.text(0, top, f"width {2 * width:.6g} mm", **look)
    if sheet.inches(2 * height) < LABEL_IN:
        left -= 0.2 * sheet.mm_per_inch  # no room within the line: beside it
    sheet.axes.text(left, 0, f"height {2 * height:.6g} mm", rotation=90, **look)


def _draw_inner_dimensions(sheet: Sheet, layout: Layout) -> None:
    """The site below the first column, and the gap to its right neighbour one step lower."""
    side, gap = layout.site_m * 1e3, layout.gap_m * 1e3
    left = min(site.x_m for site in layout.sites) * 1e3 - side / 2
    bottom = min(site.y_m for site in layout.sites) * 1e3 - side / 2
    first, second = (-sheet.half_height - step * sheet.mm_per_inch for step in (0.28, 0.62))
    _extend(sheet, [((x, bottom), (x, first)) for x in (left, left + side)])
    _measure(sheet, (left, first), (left + side, first), f"site {side:.6g} mm")
    if layout.columns > 1:
        edges = (left + side, left + side + gap)
        _extend(sheet, [((x, bottom), (x, second)) for x in edges])
        _measure(sheet, (edges[0], second), (edges[1], second), f"gap {gap:.6g} mm")
    elif layout.rows > 1:
        _point_at_gap(sheet, layout, left + side)


def _point_at_gap(sheet: Sheet, layout: Layout, right: float) -> None:
    """In a single column the gap lies between rows: an arrow from the right shows it."""
    y = (layout.sites[0].y_m + layout.sites[1].y_m) / 2 * 1e3
    arrow = {"arrowstyle": "-|>", "color": INK, "linewidth": 0.9, "shrinkB": 0}
    place = (sheet.half_width + 0.4 * sheet.mm_per_inch, y)
    text = f"gap {layout.gap_m * 1e3:.6g} mm"
    sheet.axes.annotate(text, (right, y), place, va="center", arrowprops=arrow)


def _extend(sheet: Sheet, lines: list[tuple[tuple[float, float], tuple[float, float]]]) -> None:
    from matplotlib.collections import LineCollection

    sheet.axes.add_collection(
        LineCollection(lines, colors=FAINT, linewidths=0.7, zorder=0.5), autolim=False
    )


def _measure(
    sheet: Sheet, start: tuple[float, float], end: tuple[float, float], text: str = ""
) -> None:
    """A dimension line: arrows between the ends, or from outside where there is no room."""
    length = abs(end[0] - start[0]) + abs(end[1] - start[1])
    outside = ARROW_IN * sheet.mm_per_inch
    arrow = {"arrowstyle": "-|>", "color": INK, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0}
    if sheet.inches(length) > 2 * ARROW_IN:
        both = arrow | {"arrowstyle": "<|-|>"}
        sheet.axes.annotate("", end, start, arrowprops=both)
    else:
        sheet.axes.annotate("", start, (start[0] - outside, start[1]), arrowprops=arrow)
        sheet.axes.annotate("", end, (end[0] + outside, end[1]), arrowprops=arrow)
    if text:
        _label(sheet, start, end, text, sheet.inches(length) > 1.15)


def _label(
    sheet: Sheet, start: tuple[float, float], end: tuple[float, float], text: str, between: bool
) -> None:
    if between:
        look = {"ha": "center", "bbox": {"facecolor": "white", "edgecolor": "none", "pad": 2}}
        sheet.axes.text((start[0] + end[0]) / 2, start[1], text, va="center", **look)
    else:
        x = end[0] + (ARROW_IN + 0.06) * sheet.mm_per_inch
        sheet.axes.text(x, end[1], text, ha="left", va="center")


def _draw_scale_bar(sheet: Sheet) -> None:
    length = _round_length(2.0 * sheet.mm_per_inch)
    right = max(sheet.half_width, (NARROWEST_IN / 2 - 1.0) * sheet.mm_per_inch)
    y = -sheet.half_height - 0.62 * sheet.mm_per_inch
    sheet.axes.plot([right - length, right], [y, y], color=INK, lw=4, solid_capstyle="butt")
    text = f"{length:g} mm" if length >= 1e-3 else f"{length * 1e3:g} µm"
    above = y + 0.06 * sheet.mm_per_inch
    sheet.axes.text(right - length / 2, above, text, ha="center", va="bottom")


def _round_length(longest: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is at most this long."""
    power = 10.0 ** floor(log10(longest))
    return max(step * power for step in (1, 2, 5) if step * power <= longest)


def _draw_legend(sheet: Sheet, layout: Layout) -> None:
    from matplotlib.patches import Patch

    empty = sum(site.kernel is None for site in layout.sites)
    handles = [
        Patch(facecolor=POSITIVE, label="positive part (+)"),
        Patch(facecolor=NEGATIVE, label="negative part (−)"),
        Patch(facecolor="white", edgecolor=FAINT, linestyle="--", label=f"empty ({empty})"),
    ]
    sheet.figure.legend(handles=handles[: 3 if empty else 2], loc="lower center", ncols=3)
    title = (
        f"{layout.rows} × {layout.columns} sites, {layout.kernels} of "
        f"{layout.usable_kernels} signed kernels, fill factor {100 * layout.fill_factor:.0f} %"
    )
    top = sheet.half_height + 0.72 * sheet.mm_per_inch
    sheet.axes.text(0, top, title, ha="center", fontsize=11, fontweight="bold")
