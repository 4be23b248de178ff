"""What a clean room can make: the smallest pillar and the smallest gap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hybridonn.core.errors import OpticsError
from hybridonn.optics.metasurface.pillar_map import NM, PARTS, ChipDesign


@dataclass(frozen=True)
class DesignRules:
    """The limits of a process.

    The defaults are those of the chip of Xiang et al. 2025 (the authors' published design
    notebook): widths from 65 nm to the hard limit of 240 nm every 293 nm, so gaps of 53 nm.

    Attributes:
        minimum_feature_m: Width of the narrowest pillar.
        minimum_gap_m: Clear distance of two neighbouring pillars, edge to edge.
    """

    minimum_feature_m: float = 65e-9
    minimum_gap_m: float = 53e-9


@dataclass(frozen=True)
class Extremes:
    """The smallest that a design holds; infinite where it holds none.

    Attributes:
        feature_m: Width of the narrowest pillar.
        gap_m: Clear distance of the two nearest pillars.
    """

    feature_m: float
    gap_m: float


def check_rules(design: ChipDesign, rules: DesignRules, step_m: float = NM) -> Extremes:
    """Measure the smallest pillar and gap of a chip as its file holds them.

    Gaps are Euclidean, to the neighbours left, right, above, below and on the diagonals,
    within a cell and between cells, with each pillar where :func:`first_edge` puts it.

    Args:
        design: The chip.
        rules: The limits.
        step_m: The writing grid.

    Returns:
        The narrowest pillar and the smallest gap.

    Raises:
        OpticsError: A pillar or a gap is below its limit; the message counts them and says
            where the first one lies.
    """
    features, gaps = _Worst("pillar", rules.minimum_feature_m), _Worst("gap", rules.minimum_gap_m)
    for kernel, part, _ in design.sites():
        rows = design.widths[kernel, part, ::-1]  # the file's y goes up
        wide = np.where(rows > 0, rows * NM, np.inf)
        features.look(wide, kernel, part)
        gaps.look(_nearest(rows, design, step_m), kernel, part)
    broken = [worst.describe(design) for worst in (features, gaps) if worst.count]
    if broken:
        raise OpticsError(
            f"{' and '.join(broken)}: the chip cannot be made; design it again within these "
            "limits, or state the limits of your process"
        )
    _check_seams(design, rules)
    return Extremes(features.smallest, gaps.smallest)


def first_edge(widths: np.ndarray, period: int) -> np.ndarray:
    """Left and lower edge of a pillar within its period, in steps of the writing grid.

    A pillar is exactly as wide as designed and stands in the middle of its period; where
    period less width is an odd number of steps, half a step left of and below it.
    """
    return (period - widths) // 2


class _Worst:
    """The smallest length seen, and those below a limit."""

    def __init__(self, what: str, limit_m: float) -> None:
        self.what, self.limit_m, self.smallest, self.count = what, limit_m, np.inf, 0
        self.first: tuple[int, int, int, int, float] | None = None

    def look(self, lengths: np.ndarray, kernel: int, part: int) -> None:
        self.smallest = min(self.smallest, float(lengths.min()))
        bad = lengths < self.limit_m - 1e-6 * NM
        found = int(np.count_nonzero(bad))
        if found and self.first is None:
            row = int(np.flatnonzero(bad.any(axis=1))[-1])  # the uppermost
            column = int(np.flatnonzero(bad[row])[0])
            self.first = (kernel, part, row, column, float(lengths[row, column]))
        self.count += found

    def describe(self, design: ChipDesign) -> str:
        assert self.first is not None
        kernel, part, row, column, length = self.first
        site = next(site for k, p, site in design.sites() if (k, p) == (kernel, part))
        width, height = design.aperture_m
        x = site.x_m - width / 2 + (column + 0.5) * design.cell_m
        y = site.y_m - height / 2 + (row + 0.5) * design.cell_m
        plural = "" if self.count == 1 else "s"
        return (
            f"{self.count:,} cell{plural} with a {self.what} below {self.limit_m / NM:g} nm (the "
            f"first {length / NM:.4g} nm, at x = {x * 1e3:.6f} mm, y = {y * 1e3:.6f} mm: kernel "
            f"{kernel}, {PARTS[part]} part, row {len(design.widths[0, 0]) - 1 - row}, column "
            f"{column})"
        )


def _nearest(rows: np.ndarray, design: ChipDesign, step_m: float) -> np.ndarray:
    """Smallest gap of each cell's pillars, in metres, (H, W); infinite where there is none."""
    period = round(design.period_m / step_m)
    widths = rows.astype(np.int32) * round(NM / step_m)
    before = first_edge(widths, period)  # free on the left and below
    after = period - before - widths  # free on the right and above
    stands = rows > 0
    gap = np.full(rows.shape, np.inf)
    if design.cell_pillars > 1:
        gap[stands] = period - widths[stands]
    for up, across in ((0, 1), (1, 0), (1, 1), (1, -1)):
        this, other = _neighbours(rows.shape, up, across)
        rise = after[this] + before[other]
        shift = rise if across > 0 else before[this] + after[other]
        length = np.hypot(rise, shift) if up and across else rise
        both = stands[this] & stands[other]
        gap[this] = np.where(both, np.minimum(gap[this], length), gap[this])
    return gap * step_m


def _neighbours(
    shape: tuple[int, ...], up: int, across: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where the cells lie that have such a neighbour, and where their neighbours lie."""
    rows, columns = shape
    left, right = max(0, -across), max(0, across)
    this = (slice(0, rows - up), slice(left, columns - right))
    other = (slice(up, rows), slice(right, columns - left))
    return this, other


def _check_seams(design: ChipDesign, rules: DesignRules) -> None:
    # Pillars keep away from the edge of their own cells, so only touching sites can clash.
    width, height = design.aperture_m
    between = design.layout.pitch_m - max(width, height)
    widest = int(design.widths.max()) * NM
    if between + design.period_m - widest < rules.minimum_gap_m - 1e-6 * NM:
        raise OpticsError(
            f"neighbouring sub-optics are {between / NM:.6g} nm apart, so that their outermost "
            f"pillars may stand {(between + design.period_m - widest) / NM:.6g} nm apart; at least "
            f"{rules.minimum_gap_m / NM:g} nm are allowed: enlarge the gap between sites",
            "gap_m",
        )
