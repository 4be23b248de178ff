"""Finds, for a wanted transmission at all wavelengths together, the pillar that comes nearest."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor

import torch
from torch import Tensor

from hybridonn.core.errors import OpticsError
from hybridonn.optics.meta_atoms.pillars import NM, PillarLibrary, transmit

# Cells compared at a time: their distances to two hundred widths fit a processor's cache.
CHUNK = 2048


def allowed_widths(
    library: PillarLibrary,
    grid_m: float = NM,
    *,
    minimum_m: float = 0.0,
    maximum_m: float = float("inf"),
    minimum_gap_m: float = 0.0,
) -> Tensor:
    """Widths that can be made: 0 where the library holds it, and multiples of the grid.

    Args:
        library: Its range bounds the widths.
        grid_m: Step of the mask writer.
        minimum_m: Narrowest pillar that stands.
        maximum_m: Widest pillar.
        minimum_gap_m: Clear distance between neighbouring pillars.

    Returns:
        Ascending, (N,) float64.

    Raises:
        OpticsError: The grid is not positive, or no width is left.
    """
    if not grid_m > 0:
        raise OpticsError(f"a width grid of {grid_m / NM:g} nm; it must be positive, such as 1 nm")
    narrowest = max(library.widths_m[library.first_pillar].item(), minimum_m)
    widest = min(library.widths_m[-1].item(), maximum_m, library.period_m - minimum_gap_m)
    # A millionth of a step of slack: 65e-9 / 1e-9 may be 65.00000000000001.
    first, last = ceil(narrowest / grid_m - 1e-6), floor(widest / grid_m + 1e-6)
    if last < first:
        raise OpticsError(
            f"no multiple of {grid_m / NM:g} nm lies between the narrowest pillar, "
            f"{narrowest / NM:.6g} nm, and the widest, {widest / NM:.6g} nm; "
            "ease the limits or take a finer grid",
            "min_width_m",
            "min_gap_m",
            "grid_m",
        )
    pillars = torch.arange(first, last + 1, dtype=torch.float64) * grid_m
    return torch.cat([library.widths_m[: library.first_pillar], pillars])


def look_up(
    library: PillarLibrary,
    target: Tensor,
    weights: Sequence[float] | None = None,
    widths_m: Tensor | None = None,
) -> Tensor:
    """The width nearest to a wanted transmission, at all wavelengths together.

    Nearest is ``argmin_w sum_c weight_c |t_c(w) - T_c|^2``. Since ``|t - T|^2 = |t|^2 -
    2 Re(conj(T) t) + |T|^2``, the scores of all widths are one real matrix product of the
    cells (P, 2C + 1) with the widths (2C + 1, N).

    Args:
        library: Pillars, at C wavelengths.
        target: Complex amplitudes (C, H, W), or real: phases in radians at amplitude 1.
        weights: Weight of each wavelength, not negative; equal by default.
        widths_m: Widths to choose among, (N,), such as :func:`allowed_widths`; by default the
            library's own, so that nothing is interpolated.

    Returns:
        Widths in metres, (H, W): float64 if the target has double precision, else float32.

    Raises:
        OpticsError: The target or the weights do not fit the library's wavelengths, or the
            target is not finite.
    """
    colours = len(library.wavelengths_m)
    scale = _weights(weights, colours)
    if target.ndim < 2 or target.shape[0] != colours:
        raise OpticsError(
            f"a target of shape {tuple(target.shape)} for a library of {colours} wavelengths; "
            f"give ({colours}, H, W)"
        )
    if not bool(torch.isfinite(target).all()):
        raise OpticsError("the target of the look-up holds NaN or infinity; look at the design")
    double = target.dtype in {torch.float64, torch.complex128}
    real = torch.float64 if double else torch.float32
    candidates = (library.widths_m if widths_m is None else widths_m).to("cpu", torch.float64)
    table = _tabulate(library, candidates, scale).to(target.device, real)
    flat = target.reshape(colours, -1)
    chosen = torch.empty(flat.shape[1], dtype=torch.int64, device=target.device)
    for start in range(0, flat.shape[1], CHUNK):
        part = flat[:, start : start + CHUNK]
        cells = torch.stack([*_parts(part), torch.ones_like(part[0].real)], dim=1)
        chosen[start : start + CHUNK] = (cells @ table).max(1).indices
    return candidates.to(target.device, real)[chosen].view(target.shape[1:])


def _tabulate(library: PillarLibrary, widths_m: Tensor, scale: Tensor) -> Tensor:
    """What a cell (Re T, Im T, 1) is multiplied with to score each width, (2C + 1, N)."""
    values = transmit(library, widths_m)
    weighted = values * scale[:, None]
    penalty = (weighted * values.conj()).real.sum(0, keepdim=True) / 2
    return torch.cat([weighted.real, weighted.imag, -penalty])


def _parts(target: Tensor) -> tuple[Tensor, ...]:
    if target.is_complex():
        return (*target.real, *target.imag)
    return (*target.cos(), *target.sin())


def _weights(weights: Sequence[float] | None, colours: int) -> Tensor:
    scale = torch.tensor([1.0] * colours if weights is None else list(weights), dtype=torch.float64)
    if len(scale) != colours or not bool((scale >= 0).all()) or not bool(scale.sum() > 0):
        raise OpticsError(
            f"weights {scale.tolist()} for {colours} wavelengths; give one a wavelength, "
            "none negative, one positive at least"
        )
    return scale
