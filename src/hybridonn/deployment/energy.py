"""Energy of an image under several assumptions, each with its source.

Published constants differ by a factor of thousands, for they count different things: the arithmetic
alone, a whole processor with its memory, or what a paper measured of its own system. So a table of
all of them is printed, never one number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hybridonn.deployment.cost import NetworkCost

PJ, MJ = 1e-12, 1e-3


@dataclass(frozen=True)
class Assumption:
    """What computing and taking an image cost.

    Attributes:
        name: Short name, by which it is chosen.
        label: What tables call it.
        mac_j: Energy of a multiply-accumulate, in joules.
        source: Where the number is from.
        lens_capture_j: Energy of a capture behind a lens, in joules.
        hybrid_capture_j: Energy of a capture behind the optics of a hybrid network, in joules.
    """

    name: str
    label: str
    mac_j: float
    source: str
    lens_capture_j: float = 0.0
    hybrid_capture_j: float = 0.0

    def energy_j(self, cost: NetworkCost) -> float:
        """Energy of an image, in joules: the capture and all multiply-accumulates."""
        capture = self.hybrid_capture_j if cost.optical else self.lens_capture_j
        return capture + cost.macs * self.mac_j


HOROWITZ = "Horowitz, ISSCC 2014, figure 1.1.9, 45 nm, 0.9 V; arithmetic alone, no memory"
MLPERF = "MLPerf Tiny results, microcontrollers at the wall: 1.4 to 2 nJ"
ASSUMPTIONS = (
    Assumption(
        "paper",
        "the paper: 30.84 pJ a MAC, with capture",
        30.84 * PJ,
        "Xiang et al., NeurIPS 2025 (arXiv 2508.08421); capture 2.36 mJ (lens), 3.82 mJ (hybrid)",
        2.36 * MJ,
        3.82 * MJ,
    ),
    Assumption("float32", "float32 arithmetic, 45 nm", (0.9 + 3.7) * PJ, HOROWITZ),
    Assumption("int8", "int8 arithmetic, 45 nm", (0.03 + 0.2) * PJ, HOROWITZ),
    Assumption("mcu-low", "microcontroller, least", 1.4e3 * PJ, MLPERF),
    Assumption("mcu-high", "microcontroller, most", 2.0e3 * PJ, MLPERF),
)


def tabulate_energy(
    costs: Iterable[NetworkCost], assumptions: Sequence[Assumption] = ASSUMPTIONS
) -> list[dict[str, Any]]:
    """A row for each network and assumption: MACs, joules and the source of the constant."""
    return [
        {
            "network": cost.name,
            "macs": cost.macs,
            "assumption": one.name,
            "joules": one.energy_j(cost),
            "capture_joules": one.hybrid_capture_j if cost.optical else one.lens_capture_j,
            "source": one.source,
        }
        for cost in costs
        for one in assumptions
    ]
