"""Widths of pillars whose point spread functions are the kernels.

Start: a random wavefront whose intensity is the target is taken back to the metasurface at all
wavelengths together, each cell takes the manufacturable width nearest to what it asks for, and
the brightness of the pixels that this gives corrects the next wavefront (Gerchberg and Saxton
1972, Optik 35, 237, with pixels' energies in place of samples). Then gradient steps (Adam,
Kingma and Ba 2015) on what a camera shows: the loss of
:mod:`hybridonn.optics.metasurface.image_error`, over all pixels that a scene's image
sees, with the gains of both parts chosen anew at each
step (variable projection, Golub and Pereyra 1973, SIAM Journal on Numerical Analysis 10, 413).

The authors' recipe (random start, 500 steps of 0.005, the intensity of each cell) is here as
well, for comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from hybridonn.core.errors import OpticsError
from hybridonn.core.random import generator_of
from hybridonn.optics.meta_atoms.look_up import allowed_widths, look_up
from hybridonn.optics.meta_atoms.pillar_table import tabulate
from hybridonn.optics.meta_atoms.pillars import PillarLibrary
from hybridonn.optics.metasurface.image_error import PictureLoss
from hybridonn.optics.metasurface.psf import BlockPropagator
from hybridonn.optics.metasurface.sub_optic import (
    Metasurface,
    intensity,
    pixel_psf,
    turn,
)
from hybridonn.optics.metasurface.targets import Targets, crop_centre, kernel_errors

NM, PM = 1e-9, 1e-12
MOST_BRIGHTENING = 3.0  # of an amplitude in one round: a pixel may be dark by chance
ErrorCallback = Callable[[float], None]
Loss = Callable[[Tensor], Tensor]  # of light a cell, (K, 2, C, h, w)
BETAS = (0.9, 0.99)  # of Adam: a dozen steps must forget the first


@dataclass(frozen=True, eq=False)
class Limits:
    """What the process can make.

    Attributes:
        widths_m: All widths of pillars, ascending, (N,) float64, two or more.
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
        made = self.widths_m.to(widths_m)
        return made[torch.bucketize(widths_m.contiguous(), (made[1:] + made[:-1]) / 2)]


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
            f"only pillars of {float(widths_m[0]) / NM:.4g} nm can be made with a least width "
            f"of {min_width_m / NM:g} nm and a least gap of {min_gap_m / NM:g} nm on a grid of "
            f"{grid_m / NM:g} nm, and a design needs two widths; lower one of the three",
            "min_width_m",
            "min_gap_m",
            "grid_m",
        )
    return Limits(widths_m)


@dataclass(frozen=True)
class Recipe:
    """How the widths are found.

    Attributes:
        start: Widths of the start: the target taken back to the metasurface, or random ones.
        loss: Loss of images, or of the light of cells (authors: both of unit norm).
        start_rounds: Number of rounds of the start from the target.
        steps: Number of steps of the gradient.
        learning_rate: Learning rate of Adam, in parts of the range of widths.
        schedule: Learning rate: constant, or falling in a straight line.
        picture_weight: Weight of the scenes' images beside the kernel itself.
    """

    start: Literal["target", "random"] = "target"
    loss: Literal["pictures", "cells"] = "pictures"
    start_rounds: int = 3
    steps: int = 12
    learning_rate: float = 0.01
    schedule: Literal["constant", "falling"] = "falling"
    picture_weight: float = 0.1

    @property
    def rounds_before_steps(self) -> int:
        """Number of rounds that the start takes: none, where it is random."""
        return self.start_rounds if self.start == "target" else 0


AUTHORS = Recipe("random", "cells", 0, steps=500, learning_rate=0.005, schedule="constant")


@dataclass(frozen=True)
class DesignContext:
    """All that a design is made with.

    Attributes:
        metasurface: Geometry of a sub-optic.
        library: Pillars, at the metasurface's wavelengths in their order.
        limits: Widths that the process can make.
        recipe: Settings of the design.

    Raises:
        OpticsError: The library holds other wavelengths than those of the metasurface.
    """

    metasurface: Metasurface
    library: PillarLibrary
    limits: Limits
    recipe: Recipe = Recipe()

    def __post_init__(self) -> None:
        held, wanted = self.library.wavelengths_m.tolist(), self.metasurface.wavelengths_m
        if len(held) != len(wanted) or not np.allclose(held, wanted, rtol=0, atol=PM):
            raise OpticsError(
                f"the library of pillars holds {_list_nm(held)} nm, the metasurface has "
                f"{_list_nm(wanted)} nm; give library.at(metasurface.wavelengths_m)",
                "wavelengths_m",
            )


def design(
    targets: Targets,
    design_context: DesignContext,
    seeds: Sequence[int],
    device: torch.device | None = None,
    watch: ErrorCallback = lambda error: None,
    window: int | None = None,
    scenes: Tensor | None = None,
) -> Tensor:
    """Design the sub-optics of some kernels at once, each from its own seed.

    Args:
        targets: Targets of K kernels.
        design_context: Geometry, library, limits, recipe.
        seeds: Seed of each kernel: a design does not depend on what else is designed with it.
        device: Where to compute; None: the CPU.
        watch: Told the mean kernel error before each round and step.
        window: Odd number of pixels along a side of what the loss of images sees; None:
            the block of the kernels.
        scenes: Images of the task, (N, C, H, W) from 0 to 1, for the loss of images.

    Returns:
        Widths that can be made, (K, 2, cells, cells) float32 in metres.

    Raises:
        OpticsError: The kernels have another number of colours than the metasurface has
            wavelengths, or another number of seeds is given than there are kernels.
    """
    _check_targets(targets, design_context.metasurface, seeds)
    parts = targets.parts.to(device or "cpu", torch.float32)
    metasurface, recipe = design_context.metasurface, design_context.recipe
    pixels = parts.shape[-1]
    block = metasurface.propagator(pixels, device=parts.device)
    targets = Targets(parts, targets.scale.to(parts))
    if recipe.start == "target":
        widths = start_from_target(targets, design_context, block, seeds, watch)
    else:
        widths = start_at_random(targets, design_context, seeds)
    seen = count_plane_pixels(metasurface, pixels) if recipe.loss == "cells" else window or pixels
    block = metasurface.propagator(seen, device=parts.device)
    loss = make_loss(targets, design_context, seen, scenes)
    widths = refine(widths, targets, design_context, block, loss, watch)
    return design_context.limits.fit(widths)


def _check_targets(targets: Targets, metasurface: Metasurface, seeds: Sequence[int]) -> None:
    kernels, colours = targets.scale.shape
    if colours != len(metasurface.wavelengths_m):
        raise OpticsError(
            f"the kernels have {colours} colours and the metasurface has "
            f"{len(metasurface.wavelengths_m)} wavelengths; state one wavelength for each colour",
            "wavelengths_m",
        )
    if len(seeds) != kernels:
        raise OpticsError(f"{kernels} kernels need as many seeds; {len(seeds)} are given")


def _list_nm(wavelengths_m: Sequence[float]) -> str:
    return ", ".join(f"{wavelength_m / NM:.6g}" for wavelength_m in wavelengths_m)


def start_at_random(
    targets: Targets, design_context: DesignContext, seeds: Sequence[int]
) -> Tensor:
    """Widths drawn evenly from all that can be made, (K, 2, cells, cells)."""
    cells, limits = design_context.metasurface.cells, design_context.limits
    draws = [
        torch.rand(2, cells, cells, generator=generator_of("widths at the start", seed))
        for seed in seeds
    ]
    span = limits.widest_m - limits.narrowest_m
    return limits.narrowest_m + span * torch.stack(draws).to(targets.parts.device)


@torch.no_grad()
def start_from_target(
    targets: Targets,
    design_context: DesignContext,
    block: BlockPropagator,
    seeds: Sequence[int],
    watch: ErrorCallback = lambda error: None,
) -> Tensor:
    """Widths by going to and fro between metasurface and sensor, (K, 2, cells, cells).

    Of a kernel's two parts one wants less light, and light is conserved: the rest is
    scattered evenly, by cells that follow random widths in place of the target.
    """
    parts, side = turn(targets.parts), design_context.metasurface.pixel_cells
    table = tabulate(design_context.library, device=parts.device)
    fields = _spread(parts.sqrt(), side) * _random_phases(parts, side, seeds)
    widths = start_at_random(targets, design_context, seeds)
    astray = table.transmit(widths)
    share = share_light(targets)[..., None, None]
    boost = torch.ones_like(parts)
    for _ in range(design_context.recipe.start_rounds):
        waves = block.adjoint(fields)
        power = intensity(waves).mean((-1, -2), keepdim=True)
        aimed = waves * (share / power.clamp_min(1e-30)).sqrt()
        widths = _choose_widths(aimed + (1 - share).sqrt() * astray, design_context)
        fields = block(table.transmit(widths))
        psfs = pixel_psf(intensity(fields), design_context.metasurface)
        watch(_mean_error(psfs, targets))
        correction = _correct(psfs, targets)
        boost = (boost * correction).clamp_max(MOST_BRIGHTENING)
        fields = fields * _spread(boost * correction, side)
    return widths


def share_light(targets: Targets) -> Tensor:
    """The part of its light that each part sends to its block, in each colour, (K, 2, C).

    The brighter part sends all. With efficiencies in the ratio of the wanted light the
    darker part scatters more than the brighter, with equal ones it scatters, once its gain is
    applied, less: their geometric mean balances both where about half of the light is scattered.
    """
    light = targets.parts.sum((-1, -2))
    return (light / light.amax(1, keepdim=True).clamp_min(1e-30)).sqrt()


def _random_phases(parts: Tensor, side: int, seeds: Sequence[int]) -> Tensor:
    shape = (*parts.shape[1:3], parts.shape[3] * side, parts.shape[4] * side)
    draws = [generator_of("phases at the start", seed) for seed in seeds]
    turns = torch.stack([torch.rand(shape, generator=draw) for draw in draws])
    turns = turns.to(parts)
    return torch.polar(torch.ones_like(turns), 2 * torch.pi * turns)


def _choose_widths(waves: Tensor, design_context: DesignContext) -> Tensor:
    """The widths nearest to what waves at the metasurface ask for, (K, 2, cells, cells)."""
    library, widths_m = design_context.library, design_context.limits.widths_m
    masks = [look_up(library, wave, widths_m=widths_m) for wave in waves.flatten(0, 1)]
    return torch.stack(masks).unflatten(0, waves.shape[:2]).to(torch.float32)


def _correct(psfs: Tensor, targets: Targets) -> Tensor:
    """Factor of the amplitude in each pixel, on the sensor, that makes it as bright as wanted.

    Kept from round to round it raises what stays dark (Di Leonardo et al. 2007, Optics
    Express 15, 1913, equation 10).
    """
    brightness = psfs.sum((-1, -2)) / targets.parts.sum((-1, -2)).clamp_min(1e-30)
    wanted = targets.parts * brightness[..., None, None]
    factor = (wanted / psfs.clamp_min(torch.finfo(psfs.dtype).tiny)).sqrt()
    return turn(factor.clamp_max(MOST_BRIGHTENING))


def refine(
    widths_m: Tensor,
    targets: Targets,
    design_context: DesignContext,
    propagator: BlockPropagator,
    loss: Loss,
    watch: ErrorCallback = lambda error: None,
) -> Tensor:
    """Gradient steps from a start, within the limits but not yet on the grid.

    Args:
        widths_m: Widths of the start, (K, 2, cells, cells), in metres.
        targets: Targets of the K kernels.
        design_context: Geometry, library, limits, recipe.
        propagator: Light to the pixels that the loss is of.
        loss: Loss of the light a cell.
        watch: Told the mean kernel error before each step.
    """
    limits, recipe = design_context.limits, design_context.recipe
    table = tabulate(design_context.library, _complex(widths_m), widths_m.device)
    low, high = (
        (width_m - table.first_m) / table.step_m
        for width_m in (limits.narrowest_m, limits.widest_m)
    )
    steps = ((widths_m - table.first_m) / table.step_m).requires_grad_()
    # Gradients are small where millions of cells share a loss of one: nothing may drown them.
    optimizer = torch.optim.Adam(
        [steps], lr=recipe.learning_rate * (high - low), betas=BETAS, eps=1e-30, fused=True
    )
    for step in range(recipe.steps):
        if recipe.schedule == "falling":
            left = 1 - step / recipe.steps
            optimizer.param_groups[0]["lr"] = recipe.learning_rate * (high - low) * left
        optimizer.zero_grad()
        light = intensity(propagator(table.transmit_steps(steps)))
        loss(light).backward()
        optimizer.step()
        with torch.no_grad():
            steps.clamp_(low, high)
            psfs = pixel_psf(light, design_context.metasurface)
            watch(_mean_error(crop_centre(psfs, targets.parts.shape[-1]), targets))
    return (table.first_m + table.step_m * steps).detach()


def make_loss(
    targets: Targets, design_context: DesignContext, pixels: int, scenes: Tensor | None = None
) -> Loss:
    """The loss of the recipe, of intensities a cell behind ``pixels`` x ``pixels`` pixels."""
    metasurface, recipe = design_context.metasurface, design_context.recipe
    if recipe.loss == "cells":
        return lambda light: cell_loss(light, targets, metasurface)
    scenes = None if scenes is None else scenes.to(targets.parts)
    pictures = PictureLoss(targets, pixels, scenes, recipe.picture_weight)
    return lambda light: pictures(pixel_psf(light, metasurface))


def cell_loss(light: Tensor, targets: Targets, metasurface: Metasurface) -> Tensor:
    """The authors' loss, ``sqrt((D_R^2 + D_G^2 + D_B^2) / 3)``, summed over the sub-optics."""
    residuals = measure_residuals(light, targets, metasurface)
    return residuals.square().mean(-1).clamp_min(1e-30).sqrt().sum()


def measure_residuals(light: Tensor, targets: Targets, metasurface: Metasurface) -> Tensor:
    """The authors' ``D_c = ||I_c - T_c||^2`` of intensities a cell, both of unit norm.

    With unit norms this is ``2 - 2 <I, T>``, and the target is dark outside of its block.

    Args:
        light: Intensity on the sensor, (K, 2, C, h, w), block and surroundings.
        targets: Targets of the same kernels.
        metasurface: Geometry of a sub-optic.

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
