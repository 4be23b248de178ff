"""Pillars that focus all light on the middle of the sensor: a start that knows no kernel."""

from __future__ import annotations

import torch
from torch import Tensor

from hybridonn.core.random import generator_of
from hybridonn.optics.meta_atoms.look_up import look_up
from hybridonn.optics.metasurface.inverse_design import DesignContext

# Two equal lenses of a kernel cancel, and no gradient tells them apart: their widths differ by this
# share of the range that can be made.
UNLIKE = 0.1


@torch.no_grad()
def start_as_lens(
    kernels: int, design_context: DesignContext, seed: int, unlike: float = UNLIKE
) -> Tensor:
    """Widths of lenses that focus on the middle of the sensor in all colours.

    The wanted phases are those of a point source on the sensor, conjugated; the pillars nearest to
    them in all colours are taken.

    Args:
        kernels: Number of kernels K, each of two sub-optics.
        design_context: Geometry, library, limits.
        seed: Seed of the differences between the sub-optics.
        unlike: Standard deviation of these differences, in parts of the range of widths.

    Returns:
        Widths within the limits of the process, (K, 2, cells, cells) float32 in metres.
    """
    metasurface, limits = design_context.metasurface, design_context.limits
    propagator = metasurface.propagator(1)
    side, colours = metasurface.pixel_cells, len(metasurface.wavelengths_m)
    point = torch.zeros(colours, side, side, dtype=torch.complex64)
    point[:, (side - 1) // 2 : side // 2 + 1, (side - 1) // 2 : side // 2 + 1] = 1
    waves = propagator.adjoint(point)
    waves = waves / waves.abs().clamp_min(1e-30)
    widths_m = look_up(design_context.library, waves, widths_m=limits.widths_m).float()
    generator = generator_of("lenses that differ", seed)
    cells = metasurface.cells
    draws = torch.randn(kernels, 2, cells, cells, generator=generator)
    span_m = limits.widest_m - limits.narrowest_m
    return (widths_m + unlike * span_m * draws).clamp(limits.narrowest_m, limits.widest_m)
