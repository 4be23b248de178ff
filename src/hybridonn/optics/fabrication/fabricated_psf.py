"""The point spread functions of a metasurface whose pillars, light and distance are off.

Sub-optics are carried to the sensor one at a time by the same propagation as in the design,
once for each wavelength of the source's band, whose intensities add up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hybridonn.core.errors import SamplingError
from hybridonn.core.random import generator_of
from hybridonn.optics.fabrication.crosstalk import count_reach, leak_light, trace_light
from hybridonn.optics.fabrication.kernel_errors import draw
from hybridonn.optics.fabrication.pillar_errors import (
    bias_widths,
    couple_neighbours,
    etch_deeper,
    sample_band,
    shift_wavelengths,
    stitch,
)
from hybridonn.optics.layout.sites import Layout
from hybridonn.optics.meta_atoms.pillar_table import tabulate
from hybridonn.optics.meta_atoms.pillars import PillarLibrary
from hybridonn.optics.metasurface.psf import check_steepness
from hybridonn.optics.metasurface.sub_optic import Metasurface, measure_psf
from hybridonn.spec.fabrication import Fabrication

NM, UM = 1e-9, 1e-6


@dataclass(frozen=True)
class DesignedChip:
    """A design as it went to the fab.

    Attributes:
        widths_m: Of the pillars of each cell, (K, 2, cells, cells); 0 where none stands.
        metasurface: Geometry of a sub-optic.
        library: Pillars, with all the wavelengths that it holds.
        layout: Where the sub-optics lie.
        window: Odd side of the point spread functions, in pixels.
    """

    widths_m: Tensor
    metasurface: Metasurface
    library: PillarLibrary
    layout: Layout
    window: int


@dataclass(frozen=True)
class Process:
    """What all sub-optics of one chip have in common.

    Attributes:
        bias_m: Of all widths.
        depth_fraction: Of the height of all pillars.
        offsets_m: Of each colour's wavelength.
        defocus_m: Of the distance to the sensor.
    """

    bias_m: float
    depth_fraction: float
    offsets_m: tuple[float, ...]
    defocus_m: float


def measure_fabricated(
    chip: DesignedChip, errors: Fabrication, advance: Callable[[], None] = lambda: None
) -> Tensor:
    """Make the pillars with their errors and let light through, a sub-optic at a time.

    Args:
        chip: What was wanted.
        errors: Magnitudes and the seed.
        advance: Told after each sub-optic and wavelength, :func:`count_steps` times in all.

    Returns:
        (K, 2, C, P, P): the part of the light on each sub-optic that arrives in each pixel of
        its upright picture, with the neighbours' light where ``stray_light`` is on.

    Raises:
        SamplingError: The cells are too large for the window.
    """
    process = draw_process(len(chip.metasurface.wavelengths_m), errors)
    library = etch_deeper(chip.library, process.depth_fraction)
    pixels = count_reach(chip.metasurface, chip.layout, chip.window) if errors.stray_light else 0
    psfs = _dark(chip, chip.window)
    landed = _dark(chip, pixels)
    band = _split_band(chip.metasurface, process, errors)
    for sample, (metasurface, weight) in enumerate(band):
        weight = weight.to(psfs)[:, None, None]
        pillars = shift_wavelengths(library, metasurface.wavelengths_m)
        propagator = metasurface.propagator(chip.window, device=psfs.device)
        # Rays are coarse: those of the centre of the band stand for all of it.
        traced = bool(pixels) and sample == len(band) // 2
        for kernel in range(len(psfs)):
            for part in range(2):
                widths_m = chip.widths_m[kernel, part]
                draws = (errors.seed, kernel, part)
                field = make_field(widths_m, metasurface, pillars, process, errors, draws)
                psfs[kernel, part] += weight * measure_psf(field, metasurface, propagator)
                if traced:
                    landed[kernel, part] = trace_light(field, metasurface, pixels)
                advance()
    if not pixels:
        return psfs
    return psfs + leak_light(landed, chip.layout, chip.metasurface, chip.window)


def count_steps(chip: DesignedChip, errors: Fabrication) -> int:
    """Sub-optics times wavelengths of each colour's band."""
    return 2 * len(chip.widths_m) * len(sample_band(1.0, 0.0, errors.bandwidth_nm * NM)[0])


def refuse_unsampled(metasurface: Metasurface, window: int, errors: Fabrication) -> None:
    """Refuse a chip whose light its cells cannot carry, before anything is made.

    Args:
        metasurface: Geometry of a sub-optic, as designed.
        window: Side of the point spread functions, in pixels.
        errors: Magnitudes and the seed.

    Raises:
        SamplingError: With the sensor and the wavelengths where this chip has them, the cells
            are too large.
    """
    process = draw_process(len(metasurface.wavelengths_m), errors)
    reach_m = (metasurface.cells + window * metasurface.pixel_cells) / 2 * metasurface.cell_m
    for made, _ in _split_band(metasurface, process, errors):
        try:
            if made.distance_m <= 0 or min(made.wavelengths_m) <= 0:
                raise SamplingError("neither distance nor wavelength can be below 0")
            check_steepness(reach_m, made.cell_m, made.wavelengths_m, made.distance_m)
        except SamplingError as error:
            raise SamplingError(
                f"the chip of fabrication.seed {errors.seed} has its sensor at "
                f"{made.distance_m / UM:.4g} um and light down to "
                f"{min(made.wavelengths_m) / NM:.4g} nm: {error}; or state a smaller "
                "fabrication.defocus_um, bandwidth_nm or wavelength_offset_nm"
            ) from None


def draw_process(colours: int, errors: Fabrication) -> Process:
    """Draw what is common to the chip; each error has draws of its own."""
    offsets = draw("wavelength", (colours,), errors)
    return Process(
        bias_m=NM * errors.width_bias_nm * float(draw("width", (), errors)),
        depth_fraction=errors.etch_depth_fraction * float(draw("etch depth", (), errors)),
        offsets_m=tuple((NM * errors.wavelength_offset_nm * offsets).tolist()),
        defocus_m=UM * errors.defocus_um * float(draw("distance", (), errors)),
    )


@torch.no_grad()
def make_field(
    widths_m: Tensor,
    metasurface: Metasurface,
    library: PillarLibrary,
    process: Process,
    errors: Fabrication,
    draws: tuple[int, int, int],
) -> Tensor:
    """Light just behind one sub-optic as it was made, (C, cells, cells) complex.

    Args:
        widths_m: As designed, (cells, cells).
        metasurface: With the wavelengths of the light.
        library: At these wavelengths, of pillars as high as they were made.
        process: What is common to the chip.
        errors: Magnitudes.
        draws: Chip, kernel and part that the draws belong to.
    """
    # A cell holds n x n pillars: their mean has an n-th of a pillar's noise, and of their 4 n^2
    # neighbours 4 n stand in other cells.
    side = round(metasurface.cell_m / library.period_m)
    if errors.width_bias_nm or errors.width_noise_nm:
        noise_m = NM * errors.width_noise_nm / side
        generator = generator_of("chip widths of each cell", *draws)
        widths_m = bias_widths(widths_m, process.bias_m, noise_m, library, generator)
    field = _transmit(library, widths_m)
    if errors.coupling_fraction:
        field = couple_neighbours(field, errors.coupling_fraction / side)
    if errors.stitching_nm:
        lengths = (NM * errors.stitching_nm, UM * errors.stitch_field_um, metasurface.cell_m)
        field = stitch(field, *lengths, generator_of("chip stitching", *draws))
    return field


def _split_band(
    metasurface: Metasurface, process: Process, errors: Fabrication
) -> list[tuple[Metasurface, Tensor]]:
    """The sub-optics at each wavelength of the colours' bands, with each colour's weight, (C,)."""
    bands = [
        sample_band(wavelength_m, offset_m, NM * errors.bandwidth_nm)
        for wavelength_m, offset_m in zip(metasurface.wavelengths_m, process.offsets_m, strict=True)
    ]
    distance_m = metasurface.distance_m + process.defocus_m
    return [
        (
            replace(
                metasurface,
                wavelengths_m=tuple(places[sample] for places, _ in bands),
                distance_m=distance_m,
            ),
            torch.tensor([weights[sample] for _, weights in bands]),
        )
        for sample in range(len(bands[0][0]))
    ]


def _transmit(library: PillarLibrary, widths_m: Tensor) -> Tensor:
    """From the table of the library, which takes a tenth of the time of its cubics."""
    dtype = torch.complex128 if widths_m.dtype == torch.float64 else torch.complex64
    field = tabulate(library, dtype, widths_m.device).transmit(widths_m)
    empty = widths_m == 0
    bare = library.transmission[:, 0].to(field)[:, None, None]
    return torch.where(empty, bare, field) if bool(empty.any()) else field


def _dark(chip: DesignedChip, pixels: int) -> Tensor:
    kernels, colours = len(chip.widths_m), len(chip.metasurface.wavelengths_m)
    return chip.widths_m.new_zeros(kernels, 2, colours, pixels, pixels)
