"""The laws that act on the pillars and on the light of one sub-optic, one function for each.

Each takes a value, the magnitudes of the chip and the sub-optic, and returns the changed value.
The physics is in :mod:`hybridonn.optics.fabrication.pillar_errors`.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from hybridonn.core.random import generator_of
from hybridonn.optics.fabrication.chip_errors import ChipErrors
from hybridonn.optics.fabrication.pillar_errors import bias_widths, couple_neighbours, stitch
from hybridonn.optics.meta_atoms.pillars import PillarLibrary
from hybridonn.optics.metasurface.sub_optic import Metasurface


@dataclass(frozen=True)
class Process:
    """What all sub-optics of one chip have in common.

    Attributes:
        bias_m: Change of all widths, in metres.
        depth_fraction: Change of the height of all pillars, over the height.
        offsets_m: Change of each colour's wavelength, in metres.
        defocus_m: Change of the distance to the sensor, in metres.
    """

    bias_m: float
    depth_fraction: float
    offsets_m: tuple[float, ...]
    defocus_m: float


@dataclass(frozen=True)
class SubOptic:
    """One sub-optic while it is made.

    Attributes:
        metasurface: Geometry, with the wavelengths of the light, in metres.
        library: Pillars at these wavelengths, as high as they were made.
        process: What is common to the chip.
        draws: Seed of the chip, kernel and part (0 positive, 1 negative), which name the draws.
    """

    metasurface: Metasurface
    library: PillarLibrary
    process: Process
    draws: tuple[int, int, int]

    @property
    def pillars_a_side(self) -> int:
        """n: a cell holds n x n equal pillars."""
        return round(self.metasurface.cell_m / self.library.period_m)


def change_widths(widths_m: Tensor, errors: ChipErrors, made: SubOptic) -> Tensor:
    """Widths in metres, (cells, cells), with the bias of the chip and the noise of each cell.

    The mean of the n x n pillars of a cell has an n-th of a pillar's noise.
    """
    noise_m = errors["width_noise_m"] / made.pillars_a_side
    generator = generator_of("chip widths of each cell", *made.draws)
    return bias_widths(widths_m, made.process.bias_m, noise_m, made.library, generator)


def couple(light: Tensor, errors: ChipErrors, made: SubOptic) -> Tensor:
    """Light, (C, cells, cells), of which a part is shaped by neighbouring cells.

    Of the 4 n^2 neighbours of the n x n pillars of a cell, 4 n stand in other cells.
    """
    return couple_neighbours(light, errors["coupling_fraction"] / made.pillars_a_side)


def displace_fields(light: Tensor, errors: ChipErrors, made: SubOptic) -> Tensor:
    """Light, (C, cells, cells), with each write field of the mask writer displaced."""
    lengths_m = (errors["stitching_m"], errors["stitch_field_m"], made.metasurface.cell_m)
    return stitch(light, *lengths_m, generator_of("chip stitching", *made.draws))
