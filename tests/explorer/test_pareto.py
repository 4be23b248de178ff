"""The front of a sweep."""

from __future__ import annotations

from hybridonn.explorer.design import Design
from hybridonn.explorer.pareto import (
    Candidate,
    draw_front,
    find_front,
    list_designs,
    tabulate_front,
)


def make(name, value, area, energy, lens=False):
    return Candidate(name, value, value - 0.01, value + 0.01, area, energy, 100, lens)


SOME = [
    make("lens", 0.7, 0.0, 2.4, lens=True),
    make("small", 0.8, 2.0, 3.8),
    make("large", 0.9, 9.0, 3.9),
    make("wasteful", 0.8, 3.0, 3.8),
    make("twin", 0.9, 9.0, 3.9),
]


def test_the_front_holds_what_no_other_beats():
    assert [one.name for one in find_front(SOME)] == ["lens", "small", "large", "twin"]
    assert find_front([]) == []


def test_the_front_is_shown_first_and_filled():
    table = tabulate_front(SOME, "accuracy")
    assert [row[0] for row in table.rows] == ["large", "twin", "small", "lens", "wasteful"]
    energy, area = draw_front(SOME, "accuracy")
    assert energy.count('fill="#fff" stroke=') == 1
    assert "plain lens" in area
    assert "wasteful: 80.00 % (79.00 to 81.00 %)" in area


def test_energies_that_decide_are_told_apart():
    pair = (make("more", 0.9, 0, 2.36015), make("less", 0.8, 0, 2.36005))  # a lens of two sizes
    rows = tabulate_front(pair, "accuracy").rows
    assert [row[1] for row in rows] == ["on the front"] * 2
    assert [row[5] for row in rows] == ["2.36015", "2.36005"]


def test_a_sweep_holds_its_design_and_a_lens_of_each_pooled_size():
    designs = list_designs(Design(kernels=5, pooled_size=3), (1, 8, 8))
    assert any(one.kernels == 5 and one.pooled_size == 3 and not one.lens for _, one in designs)
    assert sorted(one.pooled_size for _, one in designs if one.lens) == [2, 3, 4, 8]
    assert all(one.kernels >= 3 for _, one in list_designs(Design("dsb2018"), (3, 128, 128)))
