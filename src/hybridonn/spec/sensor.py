"""The camera behind the metasurface."""

from __future__ import annotations

from hybridonn.spec.quantities import Bits, Exposure, NoiseElectrons, PixelUm, WellElectrons
from hybridonn.spec.section import Section


class Sensor(Section):
    """The camera; the defaults are one with the 5.86 um pixels of the paper's system.

    Sony IMX174 in the EMVA 1288 reports of its cameras: 32,500 electrons at saturation and
    7 electrons of read noise.
    """

    pixel_um: PixelUm = 5.86
    full_well_electrons: WellElectrons = 32_500.0
    read_noise_electrons: NoiseElectrons = 7.0
    bit_depth: Bits | None = 8  # None: not rounded
    exposure: Exposure = 1.0  # of the brightest light there can be, over full well
    bayer: bool = False
    noise: bool = True
