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
from hybridonn.optics.fabrication.chip_errors import ChipErrors, apply_laws, draw
from hybridonn.optics.fabrication.crosstalk import count_reach, leak_light, trace_light
from hybridonn.optics.fabrication.pillar_errors import (
    etch_deeper,
    sample_band,
    shift_wavelengths,
)
from hybridonn.optics.fabrication.sub_optic_errors import Process, SubOptic
from hybridonn.optics.layout.sites import Layout
from hybridonn.optics.meta_atoms.pillar_table import tabulate
from hybridonn.optics.meta_atoms.pillars import PillarLibrary
from hybridonn.optics.metasurface.psf import check_steepness
from hybridonn.optics.metasurface.sub_optic import Metasurface, measure_psf

NM, UM = 1e-9, 1e-6


@dataclass(frozen=True)
class DesignedChip:
    """A design as it went to the fab.

    Attributes:
        widths_m: Pillars' widths in each cell, (K, 2, cells, cells); 0 where none stands.
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


def measure_fabricated_psfs(
    chip: DesignedChip, errors: ChipErrors, advance: Callable[[], None] = lambda: None
) -> Tensor:
    """Make the pillars with their errors and let light through, a sub-optic at a time.

    Args:
        chip: What was wanted.
        errors: Magnitudes and the seed.
        advance: Told after each sub-optic and wavelength, :func:`count_steps` times in all.

    Returns:
        (K, 2, C, P, P): the part of the light on each sub-optic that arrives in each pixel of
        its upright image, with the neighbours' light where ``stray_light`` is on.

    Raises:
        SamplingError: The cells are too large for the window.
    """
    process = draw_process(len(chip.metasurface.wavelengths_m), errors)
    library = etch_deeper(chip.library, process.depth_fraction)
    pixels = count_reach(chip.metasurface, chip.layout, chip.window) if errors["stray_light"] else 0
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


def count_steps(chip: DesignedChip, errors: ChipErrors) -> int:
    """Sub-optics times wavelengths of each colour's band."""
    return 2 * len(chip.widths_m) * len(sample_band(1.0, 0.0, errors["bandwidth_m"])[0])


def refuse_unsampled(metasurface: Metasurface, window: int, errors: ChipErrors) -> None:
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
                f"the chip of seed {errors.seed} has its sensor at "
                f"{made.distance_m / UM:.4g} um and light down to "
                f"{min(made.wavelengths_m) / NM:.4g} nm: {error}; or a smaller error "
                "of the distance, the bandwidth or the wavelength"
            ) from None


def draw_process(colours: int, errors: ChipErrors) -> Process:
    """Draw what is common to the chip; each error has draws of its own."""
    offsets = draw("wavelength", (colours,), errors)
    return Process(
        bias_m=errors["width_bias_m"] * float(draw("width", (), errors)),
        depth_fraction=errors["etch_depth_fraction"] * float(draw("etch depth", (), errors)),
        offsets_m=tuple((errors["wavelength_offset_m"] * offsets).tolist()),
        defocus_m=errors["defocus_m"] * float(draw("distance", (), errors)),
    )


@torch.no_grad()
def make_field(
    widths_m: Tensor,
    metasurface: Metasurface,
    library: PillarLibrary,
    process: Process,
    errors: ChipErrors,
    draws: tuple[int, int, int],
) -> Tensor:
    """Light just behind one sub-optic as it was made, (C, cells, cells) complex.

    Args:
        widths_m: As designed, (cells, cells).
        metasurface: Geometry, with the wavelengths of the light.
        library: Pillars at these wavelengths, as high as they were made.
        process: What is common to the chip.
        errors: Magnitudes.
        draws: Chip, kernel and part that the draws belong to.
    """
    made = SubOptic(metasurface, library, process, draws)
    widths_m = apply_laws("widths", widths_m, errors, made)
    return apply_laws("field", _transmit(library, widths_m), errors, made)


def _split_band(
    metasurface: Metasurface, process: Process, errors: ChipErrors
) -> list[tuple[Metasurface, Tensor]]:
    """The sub-optics at each wavelength of the colours' bands, with each colour's weight, (C,)."""
    bands = [
        sample_band(wavelength_m, offset_m, errors["bandwidth_m"])
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
