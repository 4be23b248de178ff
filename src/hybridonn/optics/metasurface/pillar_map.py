"""A whole metasurface as it is to be made: which pillar stands where.

Directions as everywhere: kernels, masks and images have y down, the chip and its file
have y up; row 0 of a sub-optic is its upper edge, column 0 its left edge.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from hybridonn.core.errors import OpticsError
from hybridonn.optics.layout.sites import Layout, Site

NM = 1e-9
WHOLE = 1e-6  # of a nanometre: what is nearer to a whole number than this is meant as one


@dataclass(frozen=True)
class ChipDesign:
    """Pillar widths of all sub-optics, and the sites on which they lie.

    Attributes:
        layout: The metasurface with its sites; a kernel's two parts have a site each.
        widths: Square pillars' widths in whole nanometres, 0 for no pillar, (K, 2, H, W) uint16:
            kernel, positive or negative part, row from the top and column of a cell.
        period_m: Distance of neighbouring pillars, centre to centre.
        cell_pillars: A cell is so many by so many pillars of equal width.
    """

    layout: Layout
    widths: np.ndarray
    period_m: float
    cell_pillars: int = 2

    @property
    def cell_m(self) -> float:
        """Side of a cell."""
        return self.cell_pillars * self.period_m

    @property
    def aperture_m(self) -> tuple[float, float]:
        """Width and height of a sub-optic."""
        rows, columns = self.widths.shape[2:]
        return columns * self.cell_m, rows * self.cell_m

    @property
    def pillars(self) -> int:
        """Pillars of the whole chip."""
        return int(np.count_nonzero(self.widths)) * self.cell_pillars**2

    def sites(self) -> Iterator[tuple[int, int, Site]]:
        """Each sub-optic: kernel, part (0 positive, 1 negative) and site, in that order."""
        placed = {(site.kernel, site.sign): site for site in self.layout.sites}
        for kernel in range(len(self.widths)):
            for part, sign in enumerate((1, -1)):
                yield kernel, part, placed[kernel, sign]

    def mirrored(self) -> ChipDesign:
        """The same chip seen from behind: left and right change places."""
        sites = tuple(replace(site, x_m=-site.x_m) for site in self.layout.sites)
        layout = replace(self.layout, sites=sites)
        return replace(self, layout=layout, widths=self.widths[..., ::-1])


def make_design(
    layout: Layout, widths: np.ndarray, period_m: float, cell_pillars: int = 2
) -> ChipDesign:
    """Check that the widths can be built on the layout.

    Args:
        layout: The metasurface with its sites.
        widths: Widths in whole nanometres, (K, 2, H, W), of any numeric type.
        period_m: Distance of neighbouring pillars.
        cell_pillars: Pillars along the side of a cell.

    Raises:
        OpticsError: Widths are no whole numbers from 0 to less than the period, their shape
            does not fit the kernels of the layout, a sub-optic is larger than its site, or a
            site lies outside the metasurface.
    """
    if not (period_m > 0 and cell_pillars >= 1):
        raise OpticsError(
            f"a period of {period_m / NM:g} nm and cells of {cell_pillars} pillars a side cannot "
            "be built; the period must be above 0 and a cell hold at least one pillar"
        )
    widths = np.asarray(widths)
    _check_shape(widths, layout)
    _check_values(widths, period_m)
    design = ChipDesign(layout, widths.astype(np.uint16), period_m, cell_pillars)
    _check_sites(design)
    return design


def _check_shape(widths: np.ndarray, layout: Layout) -> None:
    if widths.ndim != 4 or widths.shape[1] != 2 or not widths.size:
        raise OpticsError(
            f"pillar widths have the shape {widths.shape}; (kernels, 2, rows, columns) is needed: "
            "two sub-optics a kernel"
        )
    signs = {(site.kernel, site.sign) for site in layout.sites if site.kernel is not None}
    wanted = {(kernel, sign) for kernel in range(len(widths)) for sign in (1, -1)}
    if signs != wanted:
        raise OpticsError(
            f"there are pillar widths for {len(widths)} kernels, and the layout places "
            f"{layout.kernels}: both must come from the same run"
        )


def _check_values(widths: np.ndarray, period_m: float) -> None:
    if np.issubdtype(widths.dtype, np.floating) and (bad := ~np.isfinite(widths)).any():
        raise OpticsError(f"{_count(bad, 'pillar width')} not a number; design the chip again")
    if (bad := widths < 0).any():
        raise OpticsError(
            f"{_count(bad, 'pillar width')} negative; a width is 0 (no pillar) or more"
        )
    if (bad := widths != np.rint(widths)).any():
        raise OpticsError(
            f"{_count(bad, 'pillar width')} not a whole number of nanometres; round the widths to "
            "the writing grid"
        )
    if (bad := widths >= period_m / NM).any():
        raise OpticsError(
            f"{_count(bad, 'pillar width')} {widths[bad][0]:g} nm or more, and pillars stand every "
            f"{period_m / NM:g} nm: they would touch"
        )


def _count(bad: np.ndarray, what: str) -> str:
    """'3 of 200 pillar widths (first: kernel 0, positive part, row 1, column 2) are'."""
    kernel, part, row, column = np.argwhere(bad)[0]
    where = f"kernel {kernel}, {PARTS[part]} part, row {row}, column {column}"
    return f"{np.count_nonzero(bad):,} of {bad.size:,} {what}s (first: {where}) are"


PARTS = ("positive", "negative")


def _check_sites(design: ChipDesign) -> None:
    layout, (width, height) = design.layout, design.aperture_m
    if max(width, height) > layout.site_m + WHOLE * NM:
        rows, columns = design.widths.shape[2:]
        raise OpticsError(
            f"a sub-optic of {columns} x {rows} cells of {design.cell_m / NM:g} nm is "
            f"{width * 1e3:.6g} x {height * 1e3:.6g} mm and does not fit on its site of "
            f"{layout.site_m * 1e3:.6g} mm; use fewer cells or larger sites",
            "site_m",
        )
    for kernel, part, site in design.sites():
        right = abs(site.x_m) + width / 2
        top = abs(site.y_m) + height / 2
        if right > layout.width_m / 2 + WHOLE * NM or top > layout.height_m / 2 + WHOLE * NM:
            raise OpticsError(
                f"the {PARTS[part]} part of kernel {kernel} reaches {right * 1e3:.6g} mm across "
                f"and {top * 1e3:.6g} mm up from the centre of a metasurface of "
                f"{layout.width_m * 1e3:.6g} x {layout.height_m * 1e3:.6g} mm; make the "
                "metasurface larger",
                "width_m",
                "height_m",
            )
