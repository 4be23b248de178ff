"""Multiply-accumulates and energy."""

from __future__ import annotations

import pytest
from torch import nn

from hybridonn.deployment.cost import count_cost
from hybridonn.deployment.energy import ASSUMPTIONS, tabulate_energy


def test_macs_are_those_of_a_count_by_hand() -> None:
    network = nn.Sequential(nn.Conv2d(2, 3, 5, padding=2), nn.Flatten(), nn.Linear(3 * 36, 7))
    cost = count_cost("net", network, ((2, 6, 6),))
    assert cost.macs == 36 * 3 * 2 * 25 + 3 * 36 * 7
    assert cost.parameters == 3 * 2 * 25 + 3 + 3 * 36 * 7 + 7


def test_those_of_a_backend_are_counted_behind_its_branches(dense) -> None:
    cost = count_cost("backend", dense.network.backend, dense.shapes, optical=True)
    assert cost.macs == 4 * 9 * 8 + 8 * 10


def test_the_papers_energy_is_found_again() -> None:
    """Digital U-Net 65.9 G MACs 2.04 J, hybrid 65 M 5.83 mJ, capture included."""
    from hybridonn.deployment.cost import NetworkCost

    paper = next(one for one in ASSUMPTIONS if one.name == "paper")
    digital = paper.energy_j(NetworkCost("U-Net", 65_900_000_000, 1))
    hybrid = paper.energy_j(NetworkCost("hybrid", 65_000_000, 1, optical=True))
    assert digital == pytest.approx(2.04, abs=0.01)
    assert hybrid == pytest.approx(5.83e-3, abs=0.01e-3)


def test_every_number_of_energy_stands_beside_its_source() -> None:
    from hybridonn.deployment.cost import NetworkCost

    rows = tabulate_energy([NetworkCost("one", 10, 1)])
    assert len(rows) == len(ASSUMPTIONS) >= 3
    assert all(row["source"] and row["joules"] > 0 for row in rows)
