"""The phase that the authors fitted to their own RCWA table, to hold ours against."""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor

from hybridonn.core.errors import OpticsError
from hybridonn.optics.meta_atoms.pillars import NM, PM, PillarLibrary

# Xiang et al. 2025 (arXiv 2508.08421), the published PSF-design notebook of the CIFAR-10
# metasurface: silicon nitride pillars, 750 nm high, every 293 nm. (A, b, s) by wavelength in nm,
# widths w in micrometres, phase in units of 2 pi: A (1 - exp(-(w^2 - 2 b w) / s)).
FITS = {
    635: (5.03593, 0.0122, 0.28081),
    532: (2.28293, 0.01878, 0.07134),
    450: (1.87336, 0.0237, 0.03191),
}
HEIGHT_M, PERIOD_M = 750e-9, 293e-9
NARROWEST_M, WIDEST_M = 65e-9, 240e-9  # of the fitted widths, 65 to 237 nm; their hard limit


def publishes(library: PillarLibrary, wavelength_m: float) -> bool:
    """Whether the authors' curve is of these pillars at this wavelength."""
    same_cell = max(abs(library.height_m - HEIGHT_M), abs(library.period_m - PERIOD_M)) < PM
    narrowest_m, widest_m = library.widths_m[[library.first_pillar, -1]].tolist()
    inside = narrowest_m > NARROWEST_M - PM and widest_m < WIDEST_M + PM
    return same_cell and inside and any(abs(wavelength_m - fit * NM) < PM for fit in FITS)


def published_phase(widths_m: Tensor, wavelength_m: float) -> Tensor:
    """Phase in radians, up to a constant, of the authors' pillars at 635, 532 or 450 nm.

    Args:
        widths_m: Any shape; 0 (no pillar, whose phase is 0) or 65 to 240 nm.
        wavelength_m: Wavelength in vacuum, in metres.

    Raises:
        OpticsError: Another wavelength, or a width beyond those that the curve was fitted to.
    """
    fit = next((fit for nm, fit in FITS.items() if abs(wavelength_m - nm * NM) < PM), None)
    if fit is None:
        raise OpticsError(
            f"the authors' phase is published at {', '.join(map(str, FITS))} nm, not at "
            f"{wavelength_m / NM:.6g} nm; choose among these or compute a library"
        )
    inside = (widths_m > NARROWEST_M - PM) & (widths_m < WIDEST_M + PM)
    outside = widths_m[~(inside | (widths_m == 0))]
    if outside.numel():
        raise OpticsError(
            f"the authors' phase is of pillars {NARROWEST_M / NM:g} to {WIDEST_M / NM:g} nm wide, "
            f"not {outside[0].item() / NM:.6g} nm; stay within or compute a library"
        )
    A, b, s = fit
    w = widths_m * 1e6
    return 2 * pi * A * (1 - torch.exp(-(w**2 - 2 * b * w) / s))


def phase_difference(library: PillarLibrary, colour: int) -> Tensor:
    """Our phase minus the authors', radians, (N',) of the pillars without width 0.

    The fit has no meaning of its own at a width of 0, so the constant between the two is
    free: the one that makes the mean phasor of the differences real is taken out. Differences
    lie in (-pi, pi].
    """
    first = library.first_pillar
    wavelength = library.wavelengths_m[colour].item()
    values = library.transmission[colour, first:]
    published = published_phase(library.widths_m[first:], wavelength)
    phasor = torch.polar(torch.ones_like(published), values.angle() - published)
    return (phasor * phasor.mean().conj()).angle()


def summarise(library: PillarLibrary) -> list[str]:
    """A line a wavelength: phase covered, amplitudes, and the RMS to the authors' curve."""
    lines = []
    for colour, wavelength in enumerate(library.wavelengths_m.tolist()):
        values = library.transmission[colour, library.first_pillar :]
        covered = (values[1:] / values[:-1]).angle().sum().item() / (2 * pi)
        line = (
            f"{wavelength / NM:g} nm: phase over {covered:.3f} of 2 pi, "
            f"amplitude {values.abs().min():.3f} to {values.abs().max():.3f}"
        )
        if publishes(library, wavelength):
            rms = phase_difference(library, colour).square().mean().sqrt().item() / (2 * pi)
            line += f", RMS to the authors' phase {rms:.4f} of 2 pi"
        lines.append(line)
    return lines
