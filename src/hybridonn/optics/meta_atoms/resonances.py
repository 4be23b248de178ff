"""Guided resonances of a lattice of pillars: widths that no design should build on.

In an endless lattice of equal pillars light can be guided sideways at single widths, where
amplitude and phase jump within a nanometre or two (Wang and Magnusson 1993, Applied Optics 32,
2606). Among pillars that differ there is no such lattice, so nobody knows what these widths
transmit: a design does without them, and its result does not depend on them.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from hybridonn.core.errors import OpticsError
from hybridonn.optics.meta_atoms.pillars import PM, PillarLibrary
from hybridonn.optics.metasurface.inverse_design import Limits


def find_steady(library: PillarLibrary, min_transmittance: float) -> Tensor:
    """Which widths of a library lie beside no resonance, (N,) bool.

    A width is left out where it transmits less power than stated at any wavelength, and with it
    its two neighbours in the library, which lie on the flanks; no pillar always stays.

    Args:
        library: As computed.
        min_transmittance: Transmitted over incident power; 0 leaves nothing out.

    Raises:
        OpticsError: Fewer than two pillars are left.
    """
    faint = (library.transmission.abs().square() < min_transmittance).any(0)
    faint &= library.widths_m > 0
    beside = faint.clone()
    beside[1:] |= faint[:-1]
    beside[:-1] |= faint[1:]
    steady = ~beside | (library.widths_m == 0)
    pillars = int((steady & (library.widths_m > 0)).sum())
    if pillars < 2:
        raise OpticsError(
            f"{pillars} of {len(library.widths_m)} pillars of the library lie beside no width that "
            f"transmits less than {min_transmittance:g} of the light, and a design needs two; "
            "lower the least transmittance (0 leaves nothing out)",
            "min_transmittance",
        )
    return steady


def drop_resonances(library: PillarLibrary, min_transmittance: float) -> PillarLibrary:
    """The library without its resonances: it runs smoothly from one side of each to the other.

    Raises:
        OpticsError: Fewer than two pillars are left.
    """
    steady = find_steady(library, min_transmittance)
    return replace(
        library, widths_m=library.widths_m[steady], transmission=library.transmission[:, steady]
    )


def avoid_resonances(limits: Limits, library: PillarLibrary, min_transmittance: float) -> Limits:
    """The limits without the widths that lie at a resonance.

    Args:
        limits: Within the range of the library.
        library: As computed, resonances included.
        min_transmittance: Transmitted over incident power; 0 leaves nothing out.

    Raises:
        OpticsError: Fewer than two widths are left.
    """
    steady = find_steady(library, min_transmittance)
    held, widths_m = library.widths_m, limits.widths_m
    # Between two widths of the library both must be steady; at one of them that one.
    below = torch.searchsorted(held, widths_m + PM, right=True) - 1
    above = torch.searchsorted(held, widths_m - PM)
    allowed = widths_m[steady[below] & steady[above.clamp_max(len(held) - 1)]]
    if len(allowed) < 2:
        raise OpticsError(
            f"{len(allowed)} of the {len(widths_m)} widths that can be made transmit "
            f"{min_transmittance:g} of the light or more at every wavelength, and a design needs "
            "two; lower the least transmittance (0 leaves nothing out)",
            "min_transmittance",
        )
    return Limits(allowed)
