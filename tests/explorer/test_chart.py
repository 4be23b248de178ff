"""Charts as SVG."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from hybridonn.explorer.chart import Point, Scale, Series, draw_chart, round_step


def test_points_lie_within_and_names_are_text():
    points = tuple(Point(x, y, "<b>", y - 1, y + 1) for x, y in ((1, 2), (10, 4), (100, 3)))
    drawn = draw_chart([Series("<i>", points, marked=True)], "x", "y", "a & b", True)
    root = ElementTree.fromstring(drawn)
    assert root.attrib["aria-label"] == "a & b"
    circles = root.findall("{*}circle")
    assert len(circles) == 4  # three points and the legend
    assert all(0 < float(one.attrib["cx"]) < 640 for one in circles)
    xs = [float(one.attrib["cx"]) for one in circles[:3]]
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.2)


def test_what_is_not_finite_is_left_out():
    nothing = draw_chart([Series("a", (Point(1, float("nan")),))], "x", "y", "t")
    assert nothing == '<p role="note">t: nothing to draw yet.</p>'
    one = draw_chart([Series("a", (Point(0, 0),))], "x", "y", "t")
    assert "nan" not in one


def test_ticks_are_round():
    assert [round(one, 6) for one in Scale(0.12, 0.88, 0, 1).ticks()] == [0.2, 0.4, 0.6, 0.8]
    assert Scale(0.5, 2000, 0, 1, True).ticks() == [1, 10, 100, 1000]
    narrow = Scale(3.2, 4.6, 0, 1, True).ticks()
    assert [round(one, 6) for one in narrow] == [3.5, 4.0, 4.5]
    assert round_step(0.031) == pytest.approx(0.05)
