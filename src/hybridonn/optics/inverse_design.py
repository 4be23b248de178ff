"""Widths of pillars whose point spread functions are the kernels.

Start: a random wavefront whose intensity is the target is taken back to the metasurface at all
wavelengths together, each cell takes the manufacturable width nearest to what it asks for, and
the brightness of the pixels that this gives corrects the next wavefront (Gerchberg and Saxton
1972, Optik 35, 237, with pixels' energies in place of samples). Then gradient steps (Adam,
Kingma and Ba 2015) on what a camera measures, the light of whole pixels::

    L = sum_c sum_+- ||I_c - s_c T_c||^2 / sum_+- ||s_c T_c||^2

with the brightness ``s_c`` fixed to what the start reaches in both
sub-optics: light is conserved, so what the block must hold cannot lie outside of it. Both
parts have the same ``s_c``: one gain a kernel and colour gives the kernel back, and L is the
square of its relative error.

The authors' recipe (random start, 500 steps of 0.005, the intensity of each cell) is here as
well, for comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from hybridonn.errors import OpticsError
from hybridonn.optics.look_up import allowed_widths, look_up
from hybridonn.optics.metasurface import (
    Metasurface,
    intensity,
    pixel_psf,
    turn,
)
from hybridonn.optics.pillar_table import tabulate
from hybridonn.optics.pillars import PillarLibrary
from hybridonn.optics.psf import BlockPropagator
from hybridonn.optics.targets import Targets, crop_centre, kernel_errors

NM = 1e-9
MOST_BRIGHTENING = 3.0  # of an amplitude in one round: a pixel may be dark by chance
Watch = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class Limits:
    """What the process can make.

    Attributes:
        widths_m: All widths of pillars, ascending at equal steps, (N,) float64, two or more.
    """

    widths_m: Tensor

    @property
    def narrowest_m(self) -> float:
        """Smallest width of a pillar."""
        return float(self.widths_m[0])

    @property
    def widest_m(self) -> float:
        """Largest width of a pillar."""
        return float(self.widths_m[-1])

    def fit(self, widths_m: Tensor) -> Tensor:
        """The nearest widths that can be made."""
        grid_m = float(self.widths_m[1]) - self.narrowest_m
        index = ((widths_m - self.narrowest_m) / grid_m).round().long()
        made = self.widths_m.to(widths_m)
        return made[index.clamp(0, len(made) - 1)]


def limit_widths(
    library: PillarLibrary, min_width_m: float, min_gap_m: float, grid_m: float
) -> Limits:
    """The limits of a process that has this library; every cell holds pillars.

    Raises:
        OpticsError: There is no choice of widths.
    """
    widths_m = allowed_widths(library, grid_m, minimum_m=min_width_m, minimum_gap_m=min_gap_m)
    widths_m = widths_m[widths_m > 0]
    if len(widths_m) < 2:
        raise OpticsError(
            f"only pillars of {float(widths_m[0]) / NM:.4g} nm can be made on a grid of "
            f"{grid_m / NM:g} nm; lower optics.metasurface.min_width_nm, min_gap_nm or grid_nm"
        )
    return Limits(widths_m)


@dataclass(frozen=True)
class Recipe:
    """How the widths are found.

    Attributes:
        start: From the target taken back to the metasurface, or from random widths.
        loss: Light of pixels, or of cells (authors: both pictures of unit norm).
        start_rounds: Of the start from the target.
        steps: Of the gradient.
        learning_rate: Of Adam, in parts of the range of widths.
        schedule: Of the learning rate: constant, or falling in a straight line.
        brightness: Of what the start reaches.
    """

    start: Literal["target", "random"] = "target"
    loss: Literal["pixels", "cells"] = "pixels"
    start_rounds: int = 5
    steps: int = 20
    learning_rate: float = 0.02
    schedule: Literal["constant", "falling"] = "falling"
    brightness: float = 0.95


AUTHORS = Recipe("random", "cells", 0, steps=500, learning_rate=0.005, schedule="constant")


@dataclass(frozen=True)
class Workshop:
    """All that a design is made with.

    Attributes:
        metasurface: Geometry of a sub-optic.
        library: Pillars, at the metasurface's wavelengths in their order.
        limits: Of the process.
        recipe: Of the design.
    """

    metasurface: Metasurface
    library: PillarLibrary
    limits: Limits
    recipe: Recipe = Recipe()


def design(
    targets: Targets,
    workshop: Workshop,
    seeds: Sequence[int],
    device: torch.device | None = None,
    watch: Watch = lambda error: None,
) -> Tensor:
    """Design the sub-optics of some kernels at once, each from its own seed.

    Args:
        targets: Of K kernels.
        workshop: Geometry, library, limits, recipe.
        seeds: One a kernel: a design does not depend on what else is designed with it.
        device: Where to compute; None: the CPU.
        watch: Told the mean kernel error before each round and step.

    Returns:
        Widths that can be made, (K, 2, cells, cells) float32 in metres.
    """
    parts = targets.parts.to(device or "cpu", torch.float32)
    metasurface, recipe = workshop.metasurface, workshop.recipe
    pixels = parts.shape[-1]
    block = metasurface.propagator(pixels, device=parts.device)
    targets = Targets(parts, targets.scale.to(parts))
    if recipe.start == "target":
        widths = start_from_target(targets, workshop, block, seeds, watch)
    else:
        widths = start_at_random(targets, workshop, seeds)
    if recipe.loss == "cells":
        block = metasurface.propagator(count_plane_pixels(metasurface, pixels), device=parts.device)
    widths = refine(widths, targets, workshop, block, watch)
    return workshop.limits.fit(widths)


def start_at_random(targets: Targets, workshop: Workshop, seeds: Sequence[int]) -> Tensor:
    """Widths drawn evenly from all that can be made, (K, 2, cells, cells)."""
    cells, limits = workshop.metasurface.cells, workshop.limits
    draws = [torch.rand(2, cells, cells, generator=_generator(seed)) for seed in seeds]
    span = limits.widest_m - limits.narrowest_m
    return limits.narrowest_m + span * torch.stack(draws).to(targets.parts.device)


@torch.no_grad()
def start_from_target(
    targets: Targets,
    workshop: Workshop,
    block: BlockPropagator,
    seeds: Sequence[int],
    watch: Watch = lambda error: None,
) -> Tensor:
    """Widths by going to and fro between metasurface and sensor, (K, 2, cells, cells).

    Of a kernel's two parts one holds less light, and light is conserved: the rest is
    scattered evenly, by cells that follow random widths in place of the target.
    """
    parts, side = turn(targets.parts), workshop.metasurface.pixel_cells
    table = tabulate(workshop.library, device=parts.device)
    fields = _spread(parts.sqrt(), side) * _random_phases(parts, side, seeds)
    astray = table.transmit(start_at_random(targets, workshop, seeds))
    share = _share_light(targets)[..., None, None, None]
    waves = block.adjoint(fields)
    power = intensity(waves).mean((-1, -2, -3), keepdim=True)
    scale = (share / power.clamp_min(1e-30)).sqrt()
    boost = torch.ones_like(parts)
    for _ in range(workshop.recipe.start_rounds):
        widths = _choose_widths(scale * waves + (1 - share).sqrt() * astray, workshop)
        fields = block(table.transmit(widths))
        psfs = pixel_psf(intensity(fields), workshop.metasurface)
        watch(_mean_error(psfs, targets))
        correction = _correct(psfs, targets)
        boost = (boost * correction).clamp_max(MOST_BRIGHTENING)
        waves = block.adjoint(fields * _spread(boost * correction, side))
    return widths


def _share_light(targets: Targets) -> Tensor:
    """Light of each part over that of the brighter one, in the colour that needs most, (K, 2)."""
    light = targets.parts.sum((-1, -2))
    return (light / light.amax(1, keepdim=True).clamp_min(1e-30)).amax(-1)


def _random_phases(parts: Tensor, side: int, seeds: Sequence[int]) -> Tensor:
    shape = (*parts.shape[1:3], parts.shape[3] * side, parts.shape[4] * side)
    turns = torch.stack([torch.rand(shape, generator=_generator(seed)) for seed in seeds])
    turns = turns.to(parts)
    return torch.polar(torch.ones_like(turns), 2 * torch.pi * turns)


def _choose_widths(waves: Tensor, workshop: Workshop) -> Tensor:
    """The widths nearest to what waves at the metasurface ask for, (K, 2, cells, cells)."""
    library, widths_m = workshop.library, workshop.limits.widths_m
    masks = [look_up(library, wave, widths_m=widths_m) for wave in waves.flatten(0, 1)]
    return torch.stack(masks).unflatten(0, waves.shape[:2]).to(torch.float32)


def _correct(psfs: Tensor, targets: Targets) -> Tensor:
    """Factor of the amplitude in each pixel, on the sensor, that makes it as bright as wanted.

    Kept from round to round it raises what stays dark (Di Leonardo et al. 2007, Optics
    Express 15, 1913, equation 10).
    """
    wanted = targets.parts * set_brightness(psfs, targets, 1.0)[:, None, :, None, None]
    factor = (wanted / psfs.clamp_min(torch.finfo(psfs.dtype).tiny)).sqrt()
    return turn(factor.clamp_max(MOST_BRIGHTENING))


def refine(
    widths_m: Tensor,
    targets: Targets,
    workshop: Workshop,
    propagator: BlockPropagator,
    watch: Watch = lambda error: None,
) -> Tensor:
    """Gradient steps from a start, within the limits but not yet on the grid.

    Args:
        widths_m: (K, 2, cells, cells).
        targets: Of the K kernels.
        workshop: Geometry, library, limits, recipe.
        propagator: To the block of the kernels, or (loss of cells) to a larger one.
        watch: Told the mean kernel error before each step.
    """
    limits, recipe = workshop.limits, workshop.recipe
    table = tabulate(workshop.library, _complex(widths_m), widths_m.device)
    low, high = (
        (width_m - table.first_m) / table.step_m
        for width_m in (limits.narrowest_m, limits.widest_m)
    )
    steps = ((widths_m - table.first_m) / table.step_m).requires_grad_()
    # Gradients are small where millions of cells share a loss of one: nothing may drown them.
    optimizer = torch.optim.Adam(
        [steps], lr=recipe.learning_rate * (high - low), eps=1e-30, fused=True
    )
    aim: Tensor | None = None
    for step in range(recipe.steps):
        if recipe.schedule == "falling":
            left = 1 - step / recipe.steps
            optimizer.param_groups[0]["lr"] = recipe.learning_rate * (high - low) * left
        optimizer.zero_grad()
        light = intensity(propagator(table.transmit_steps(steps)))
        psfs = crop_centre(pixel_psf(light, workshop.metasurface), targets.parts.shape[-1])
        if recipe.loss == "cells":
            loss = cell_loss(light, targets, workshop.metasurface)
        else:
            aim = set_brightness(psfs.detach(), targets, recipe.brightness) if aim is None else aim
            loss = pixel_loss(psfs, targets, aim)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            steps.clamp_(low, high)
        watch(_mean_error(psfs.detach(), targets))
    return (table.first_m + table.step_m * steps).detach()


def set_brightness(psfs: Tensor, targets: Targets, share: float) -> Tensor:
    """The brightness that both parts can reach, (K, C).

    A part that holds less light than the other is easily given more: it limits the
    brightness by so much less.

    Args:
        psfs: Block that the start reaches, (K, 2, C, k, k).
        targets: Of the same kernels.
        share: Of what is reached.
    """
    wanted = targets.parts.sum((-1, -2))
    allowance = wanted.amax(1, keepdim=True) / wanted.clamp_min(1e-30)
    reached = psfs.sum((-1, -2)) / wanted.clamp_min(1e-30) * allowance
    reached = torch.where(wanted > 0, reached, torch.inf).amin(1)
    return torch.where(torch.isfinite(reached), share * reached, 0)


def pixel_loss(psfs: Tensor, targets: Targets, aim: Tensor) -> Tensor:
    """The module's ``L``, summed over the kernels.

    Args:
        psfs: Block, (K, 2, C, k, k).
        targets: Of the same kernels.
        aim: ``s``, (K, C); colours whose aim is zero do not count.
    """
    wanted = targets.parts * aim[:, None, :, None, None]
    missed = (psfs - wanted).square().sum((1, 3, 4))
    power = wanted.square().sum((1, 3, 4))
    return torch.where(power > 0, missed / power.clamp_min(1e-30), 0).sum()


def cell_loss(light: Tensor, targets: Targets, metasurface: Metasurface) -> Tensor:
    """The authors' loss, ``sqrt((D_R^2 + D_G^2 + D_B^2) / 3)``, summed over the sub-optics."""
    residuals = measure_residuals(light, targets, metasurface)
    return residuals.square().mean(-1).clamp_min(1e-30).sqrt().sum()


def measure_residuals(light: Tensor, targets: Targets, metasurface: Metasurface) -> Tensor:
    """The authors' ``D_c = ||I_c - T_c||^2`` of intensities a cell, both of unit norm.

    With unit norms this is ``2 - 2 <I, T>``, and the target is dark outside of its block.

    Args:
        light: Intensity on the sensor, (K, 2, C, h, w), block and surroundings.
        targets: Of the same kernels.
        metasurface: The geometry.

    Returns:
        (K, 2, C); nan where a part of a kernel's colour is zero.
    """
    parts, side = targets.parts, metasurface.pixel_cells
    inside = turn(crop_centre(light, parts.shape[-1] * side))
    overlap = (inside.unflatten(-1, (-1, side)).sum(-1).unflatten(-2, (-1, side)).sum(-2)) * parts
    norms = light.square().sum((-1, -2)).sqrt() * parts.square().sum((-1, -2)).sqrt() * side
    cosine = overlap.sum((-1, -2)) / torch.where(norms > 0, norms, torch.nan)
    return 2 - 2 * cosine


def count_plane_pixels(metasurface: Metasurface, pixels: int) -> int:
    """Pixels along a side of the sensor behind the sub-optic; odd if ``pixels`` is."""
    whole = metasurface.cells // metasurface.pixel_cells
    return max(pixels, whole - (whole - pixels) % 2)


def _mean_error(psfs: Tensor, targets: Targets) -> float:
    return float(kernel_errors(psfs, targets).nanmean())


def _spread(pixels: Tensor, side: int) -> Tensor:
    return pixels.repeat_interleave(side, -1).repeat_interleave(side, -2)


def _complex(real: Tensor) -> torch.dtype:
    return torch.complex128 if real.dtype == torch.float64 else torch.complex64


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
