"""Designs around one design, and those of them that no other one beats in everything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from hybridonn.explorer.chart import Point, Series, draw_chart
from hybridonn.explorer.design import Design, as_lens, count_branches
from hybridonn.reports.formats import percent, span
from hybridonn.reports.tables.studies import DASH, Table

KERNELS = (1, 2, 4, 8, 16, 32, 64)
POOLED = (2, 4, 8)


@dataclass(frozen=True)
class Candidate:
    """A design with what is estimated of it.

    Attributes:
        name: What distinguishes it, in words.
        value: Estimated metric, in [0, 1].
        low: Lower end of its 95 % interval.
        high: Upper end.
        area_mm2: Least metasurface that holds its kernels; 0 of a lens.
        energy_mj: Energy of an image, under one assumption.
        macs: Multiply-accumulates behind the optics.
        lens: Whether it is the plain lens.
    """

    name: str
    value: float
    low: float
    high: float
    area_mm2: float
    energy_mj: float
    macs: int
    lens: bool = False


def list_designs(design: Design, image_shape: tuple[int, int, int]) -> list[tuple[str, Design]]:
    """The designs of a sweep: kernels and pooled sizes around a design, and the plain lens.

    Args:
        design: The middle of the sweep, which is in it.
        image_shape: (C, H, W) of an image, which no pooled size exceeds.
    """
    channels, height, width = image_shape
    counts = sorted({*KERNELS, design.kernels})
    if branches := count_branches(design.data):
        fitting = [count for count in counts if count >= branches]
        return [(f"{count} kernels", replace(design, kernels=count)) for count in fitting]
    sizes = sorted(one for one in {*POOLED, design.pooled_size} if one <= min(height, width))
    pairs = [
        (f"{count} kernel{'s' * (count > 1)}, {size} × {size}", count, size)
        for size in sizes
        for count in counts
    ]
    found = [(name, replace(design, kernels=k, pooled_size=size)) for name, k, size in pairs]
    lens = as_lens(design, channels)
    return [
        *((f"plain lens, {one} × {one}", replace(lens, pooled_size=one)) for one in sizes),
        *found,
    ]


def find_front(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates that no other one beats or equals in everything and beats in something.

    A larger metric, a smaller area and a smaller energy are better.
    """
    return [one for one in candidates if not any(beats(other, one) for other in candidates)]


def beats(one: Candidate, other: Candidate) -> bool:
    """Whether a candidate is at least as good in everything and better in something."""
    pairs = (
        (one.value, other.value),
        (-one.area_mm2, -other.area_mm2),
        (-one.energy_mj, -other.energy_mj),
    )
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


def draw_front(candidates: Sequence[Candidate], label: str) -> tuple[str, str]:
    """The metric over the energy and over the area, as SVG; the front is filled.

    Args:
        candidates: What was estimated.
        label: Label of the metric.
    """
    front = find_front(candidates)
    up = f"estimated {label} (%)"
    over = [
        ("energy of an image (mJ)", lambda one: one.energy_mj, True),
        ("metasurface (mm²)", lambda one: one.area_mm2, False),
    ]
    drawn = []
    for title, along, logarithmic in over:
        series = [
            Series(name, tuple(_place(one, along(one), one in front) for one in some), False, True)
            for name, some in _group(candidates)
            if some
        ]
        drawn.append(draw_chart(series, title, up, f"{up} over {title}", logarithmic))
    return drawn[0], drawn[1]


def _group(candidates: Iterable[Candidate]) -> list[tuple[str, list[Candidate]]]:
    some = list(candidates)
    return [
        ("kernels", [one for one in some if not one.lens]),
        ("plain lens", [one for one in some if one.lens]),
    ]


def _place(one: Candidate, x: float, filled: bool) -> Point:
    words = f"{one.name}: {percent(one.value)} ({span((one.low, one.high), 1000)})"
    return Point(x, 100 * one.value, words, 100 * one.low, 100 * one.high, filled)


def tabulate_front(candidates: Sequence[Candidate], label: str) -> Table:
    """All candidates, those of the front first, each part by its metric.

    Args:
        candidates: What was estimated.
        label: Label of the metric.
    """
    front = find_front(candidates)
    ordered = sorted(candidates, key=lambda one: (one not in front, -one.value))
    rows = [
        (
            one.name,
            "on the front" if one in front else DASH,
            percent(one.value),
            span((one.low, one.high), 1000),
            f"{one.area_mm2:.3g}",
            f"{one.energy_mj:.7g}",  # the capture is most of it, and what is computed decides
            f"{one.macs:,}",
        )
        for one in ordered
    ]
    head = ("design", "Pareto front", label, "95 %", "mm²", "mJ", "MACs")
    note = "On the front are the designs that no other one beats in metric, area and energy."
    return Table("Designs of the sweep", head, rows, note)
