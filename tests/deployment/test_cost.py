"""Multiply-accumulates and energy."""

from __future__ import annotations

import pytest
from torch import nn

from hybridonn.core.errors import DeploymentError
from hybridonn.deployment.cost import NetworkCost, count_costs
from hybridonn.deployment.energy import (
    ASSUMPTIONS,
    PAPER_NETWORKS,
    choose_assumptions,
    tabulate_energy,
)


def test_macs_are_those_of_a_count_by_hand(dense) -> None:
    teacher = nn.Sequential(nn.Conv2d(1, 3, 5, padding=2), nn.Flatten(), nn.Linear(3 * 64, 7))
    found = count_costs(teacher, dense.network, dense.image_shape, 12)
    backend, optics = 4 * 9 * 8 + 8 * 10, 64 * 4 * 25

    assert [one.name for one in found] == ["teacher", "digital", "backend"]
    assert [one.macs for one in found] == [64 * 3 * 25 + 3 * 64 * 7, optics + backend, backend]
    assert found[0].parameters == 3 * 25 + 3 + 3 * 64 * 7 + 7
    assert [one.pixels for one in found] == [64, 64, 2 * 4 * 64]
    assert [one.bits for one in found] == [512, 512, 12 * 512]
    assert [one.optical for one in found] == [False, False, True]


def test_the_papers_energy_is_found_again() -> None:
    """U-Net 65.9 G MACs 2.04 J, compact 239 M 9.73 mJ, hybrid 65 M 5.83 mJ, captures included."""
    (paper,) = choose_assumptions(["paper"])
    digital, compact, hybrid = map(paper.energy_j, PAPER_NETWORKS)
    assert digital == pytest.approx(2.04, abs=0.01)
    assert compact == pytest.approx(9.73e-3, abs=0.01e-3)
    assert hybrid == pytest.approx(5.83e-3, abs=0.01e-3)


def test_every_number_of_energy_stands_beside_its_source() -> None:
    rows = tabulate_energy(PAPER_NETWORKS)
    assert len(rows) == 3 * len(ASSUMPTIONS) >= 6
    assert all(row["source"] and row["joules"] > row["capture_joules"] for row in rows)


def test_assumptions_are_chosen_by_name_or_given() -> None:
    assert choose_assumptions([]) == ASSUMPTIONS
    own = choose_assumptions(["int8"], 2.0, 0.5, 1.5)
    assert [one.name for one in own] == ["int8", "yours"]
    assert own[1].energy_j(NetworkCost("a", "a", 10, 1, optical=True)) == 2e-11 + 1.5e-3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((["horowitz"],), "'horowitz' is not known; allowed are paper, "),
        (([], None, 2.0), "--mac-pj"),
    ],
)
def test_what_is_no_assumption_is_refused(arguments, words) -> None:
    with pytest.raises(DeploymentError, match=words):
        choose_assumptions(*arguments)
