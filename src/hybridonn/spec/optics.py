"""The optics that a user can make."""

from __future__ import annotations

from hybridonn.spec.section import NotNegative, Positive, Section


class Optics(Section):
    """The physical size of the metasurface and of one kernel's site on it."""

    metasurface_width_mm: Positive = 4.0
    metasurface_height_mm: Positive = 4.0
    kernel_site_mm: Positive = 0.938  # 1600 cells of 586 nm: one sub-optic of the paper's system
    gap_mm: NotNegative = 0.05
