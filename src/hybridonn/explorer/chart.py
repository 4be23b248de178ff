"""Curves and points as SVG, quick enough to be drawn while a page is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, isfinite, log10

from hybridonn.reports.figures.style import FAINT, INK, colour_of

WIDTH, HEIGHT = 640.0, 320.0
LEFT, RIGHT, TOP, BOTTOM = 62.0, 16.0, 14.0, 46.0
DASHES = ("", "6 3", "2 3", "8 3 2 3")


@dataclass(frozen=True)
class Point:
    """A point of a chart.

    Attributes:
        x: Along.
        y: Up.
        words: What is said of it when a pointer rests on it.
        low: Lower end of its interval; None: it has none.
        high: Upper end.
        filled: Whether it is filled with colour.
    """

    x: float
    y: float
    words: str = ""
    low: float | None = None
    high: float | None = None
    filled: bool = True


@dataclass(frozen=True)
class Series:
    """Points of one name.

    Attributes:
        name: Name in the legend.
        points: The points; what is not finite is left out.
        joined: Whether a line joins them.
        marked: Whether each point is marked.
    """

    name: str
    points: tuple[Point, ...]
    joined: bool = True
    marked: bool = False


@dataclass(frozen=True)
class Scale:
    """From values to places on the page.

    Attributes:
        low: Least value.
        high: Largest value.
        start: Place of the least value.
        end: Place of the largest.
        logarithmic: Whether powers of ten are equally far from one another.
    """

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Where a value lies."""
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = log10(low), log10(high), log10(value)
        return self.start + (self.end - self.start) * (value - low) / (high - low)

    def ticks(self) -> list[float]:
        """Round values within, at least two."""
        if self.logarithmic:
            powers = range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
            fine = (1, 2, 5) if self.high < 100 * self.low else (1,)
            found = [step * 10.0**power for power in powers for step in fine]
            within = [value for value in found if self.low <= value <= self.high]
            if len(within) > 1:
                return within
        step = round_step((self.high - self.low) / 5)
        first, last = ceil(self.low / step - 1e-9), floor(self.high / step + 1e-9)
        return [count * step for count in range(first, last + 1)]


def draw_chart(
    series: Sequence[Series], x_label: str, y_label: str, title: str, logarithmic: bool = False
) -> str:
    """Draw series over one another.

    Args:
        series: At least one finite point in all, or the chart says that there is none.
        x_label: What lies along, with its unit.
        y_label: What goes up, with its unit.
        title: What the chart shows, for readers who cannot see it.
        logarithmic: Whether x is on a logarithmic scale; points at 0 or below are left out.

    Returns:
        The text of an SVG element that is as wide as its place.
    """
    kept = [_keep(one, logarithmic) for one in series]
    points = [point for one in kept for point in one.points]
    if not points:
        return f'<p role="note">{escape(title)}: nothing to draw yet.</p>'
    ends = [end for one in points for end in (one.low, one.high, one.y) if end is not None]
    along = _spread([one.x for one in points], LEFT, WIDTH - RIGHT, logarithmic)
    up = _spread(ends, HEIGHT - BOTTOM, TOP)
    parts = [*_draw_axes(along, up, x_label, y_label)]
    for index, one in enumerate(kept):
        parts += _draw_series(one, index, along, up)
    rows = -(-len(kept) // 3)
    parts += [_name(one.name, index) for index, one in enumerate(kept)]
    height = HEIGHT + 22 * rows
    return (
        f'<svg viewBox="0 0 {WIDTH:g} {height:g}" role="img" aria-label="{escape(title)}" '
        f'xmlns="http://www.w3.org/2000/svg" class="chart">{"".join(parts)}</svg>'
    )


def _keep(series: Series, logarithmic: bool) -> Series:
    points = tuple(
        one
        for one in series.points
        if isfinite(one.x) and isfinite(one.y) and (one.x > 0 or not logarithmic)
    )
    return Series(series.name, points, series.joined, series.marked)


def _spread(values: Sequence[float], start: float, end: float, logarithmic: bool = False) -> Scale:
    """A scale that holds all values with a margin."""
    low, high = min(values), max(values)
    if logarithmic:
        margin = max((high / low) ** 0.06, 1.2)
        return Scale(low / margin, high * margin, start, end, True)
    margin = 0.06 * (high - low) or max(abs(high), 1e-6) * 0.1
    return Scale(low - margin, high + margin, start, end)


def round_step(rough: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is at least this long."""
    power = 10.0 ** floor(log10(rough))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= rough * 0.999999)


def _draw_axes(along: Scale, up: Scale, x_label: str, y_label: str) -> list[str]:
    bottom, left = HEIGHT - BOTTOM, LEFT
    parts = [f'<g font-size="12" fill="{INK}" stroke="none">']
    for value in up.ticks():
        y = up.place(value)
        parts.append(_line(left, y, WIDTH - RIGHT, y, "#e3e6e8"))
        parts.append(f'<text x="{left - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    for value in along.ticks():
        x = along.place(value)
        parts.append(_line(x, bottom, x, bottom + 5, FAINT))
        parts.append(
            f'<text x="{x:.1f}" y="{bottom + 19:.1f}" text-anchor="middle">{value:g}</text>'
        )
    middle = (left + WIDTH - RIGHT) / 2
    parts.append(_line(left, bottom, WIDTH - RIGHT, bottom, FAINT))
    parts.append(
        f'<text x="{middle:.1f}" y="{HEIGHT - 8:.1f}" text-anchor="middle">{escape(x_label)}</text>'
    )
    height = (TOP + bottom) / 2
    parts.append(
        f'<text transform="translate(14 {height:.1f}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_label)}</text></g>"
    )
    return parts


def _draw_series(series: Series, index: int, along: Scale, up: Scale) -> list[str]:
    colour, parts = colour_of(index), []
    if series.joined and len(series.points) > 1:
        path = " ".join(f"{along.place(one.x):.1f},{up.place(one.y):.1f}" for one in series.points)
        dashes = DASHES[index // 10 % len(DASHES)]
        look = f'stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"'
        parts.append(f'<polyline points="{path}" fill="none" {look}/>')
    if not series.marked and len(series.points) > 1:
        return parts
    for one in series.points:
        x, y = along.place(one.x), up.place(one.y)
        if one.low is not None and one.high is not None:
            parts.append(_line(x, up.place(one.low), x, up.place(one.high), colour))
        fill = colour if one.filled else "#fff"
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{fill}" stroke="{colour}" '
            f'stroke-width="2"><title>{escape(one.words)}</title></circle>'
        )
    return parts


def _name(name: str, index: int) -> str:
    """An entry of the legend, three a row."""
    x, y = LEFT + 190 * (index % 3), HEIGHT + 14 + 22 * (index // 3)
    shown = name if len(name) <= 24 else f"{name[:15]}…{name[-8:]}"
    mark = f'<circle cx="{x:.0f}" cy="{y - 4:.0f}" r="5" fill="{colour_of(index)}"/>'
    return f'{mark}<text x="{x + 11:.0f}" y="{y:.0f}" font-size="12">{escape(shown)}</text>'


def _line(x: float, y: float, x2: float, y2: float, colour: str) -> str:
    ends = f'x1="{x:.1f}" y1="{y:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="1"/>'
