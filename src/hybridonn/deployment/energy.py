"""Energy of an image under several assumptions, each with its source.

Published constants differ by a factor of thousands, for they count different things: the arithmetic
alone, a whole processor with its memory, or what a paper measured of its own system. So a table of
all of them is printed, never one number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hybridonn.core.errors import DeploymentError
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
        return self.capture_j(cost) + cost.macs * self.mac_j

    def capture_j(self, cost: NetworkCost) -> float:
        """Energy of taking an image, in joules."""
        return self.hybrid_capture_j if cost.optical else self.lens_capture_j


HOROWITZ = "Horowitz, ISSCC 2014, figure 1.1.9, 45 nm, 0.9 V; arithmetic alone, no memory"
MLPERF = "MLPerf Tiny results, whole microcontrollers: 1.4 to 2 nJ a MAC"
PAPER = "Xiang et al., NeurIPS 2025 (arXiv 2508.08421); capture 2.36 mJ (lens), 3.82 mJ (hybrid)"
ASSUMPTIONS = (
    Assumption("paper", "the paper, with capture", 30.84 * PJ, PAPER, 2.36 * MJ, 3.82 * MJ),
    Assumption("float32", "float32 arithmetic, 45 nm", (0.9 + 3.7) * PJ, HOROWITZ),
    Assumption("int8", "int8 arithmetic, 45 nm", (0.03 + 0.2) * PJ, HOROWITZ),
    Assumption("mcu-low", "microcontroller, least", 1.4e3 * PJ, MLPERF),
    Assumption("mcu-high", "microcontroller, most", 2.0e3 * PJ, MLPERF),
)
# The networks of the paper's table, as it states them.
PAPER_NETWORKS = (
    NetworkCost("unet", "U-Net, digital", 65_900_000_000, 0),
    NetworkCost("compact", "compact network, digital", 239_000_000, 0),
    NetworkCost("hybrid", "hybrid network", 65_000_000, 0, optical=True),
)


def choose_assumptions(
    names: Sequence[str],
    mac_pj: float | None = None,
    lens_capture_mj: float = 0.0,
    hybrid_capture_mj: float = 0.0,
) -> tuple[Assumption, ...]:
    """The assumptions of some names, and one of the user's own.

    Args:
        names: Names of assumptions; empty: all.
        mac_pj: Energy of a multiply-accumulate of the user's own processor, in picojoules; None:
            no assumption of the user's own.
        lens_capture_mj: Energy of a capture behind a lens, in millijoules.
        hybrid_capture_mj: Energy of a capture behind the optics, in millijoules.

    Raises:
        DeploymentError: A name is not known, or energies of captures are given alone.
    """
    known = {one.name: one for one in ASSUMPTIONS}
    if unknown := [name for name in names if name not in known]:
        raise DeploymentError(
            f"assumption {unknown[0]!r} is not known; allowed are {', '.join(known)}"
        )
    if mac_pj is None and (lens_capture_mj or hybrid_capture_mj):
        raise DeploymentError(
            "energies of captures of your own are given without that of a multiply-accumulate; add "
            "--mac-pj, such as --mac-pj 30.84"
        )
    chosen = tuple(known[name] for name in names)
    if mac_pj is None:
        return chosen or ASSUMPTIONS
    label = f"yours: {mac_pj:g} pJ a MAC"
    captures = (lens_capture_mj * MJ, hybrid_capture_mj * MJ)
    return (*chosen, Assumption("yours", label, mac_pj * PJ, "given by --mac-pj", *captures))


def tabulate_energy(
    costs: Iterable[NetworkCost], assumptions: Sequence[Assumption] = ASSUMPTIONS
) -> list[dict[str, Any]]:
    """A row for each network and assumption: MACs, joules and the source of the constant."""
    return [
        {
            "network": cost.label,
            "macs": cost.macs,
            "assumption": one.label,
            "joules": one.energy_j(cost),
            "capture_joules": one.capture_j(cost),
            "source": one.source,
        }
        for cost in costs
        for one in assumptions
    ]
