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
    """Side of a camera pixel. Source: arXiv 2508.08421."""
    full_well_electrons: WellElectrons = 32_500.0
    """Electrons of a saturated pixel. Source: Sony IMX174, EMVA 1288 reports."""
    read_noise_electrons: NoiseElectrons = 7.0
    """Standard deviation of the read noise. Source: Sony IMX174, EMVA 1288 reports."""
    bit_depth: Bits | None = 8
    """Bits of a camera value. null: values are not rounded."""
    exposure: Exposure = 1.0
    """Signal of the brightest light that a scene can give, over the full well."""
    bayer: bool = False
    """Whether the camera has a Bayer filter, so that a pixel sees one of three colours."""
    noise: bool = True
    """Whether shot noise and read noise are simulated."""
