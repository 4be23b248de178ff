"""The optics that a user can make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator

from hybridonn.core.errors import SpecError
from hybridonn.core.tables import NameOf
from hybridonn.networks.frontends.table import OPTICS
from hybridonn.spec.four_f import FourF
from hybridonn.spec.measured import Measured
from hybridonn.spec.metasurface import Metasurface
from hybridonn.spec.quantities import GapMm, OpticMm, WaferMm, WavelengthNm
from hybridonn.spec.section import Section, Several
from hybridonn.spec.sensor import Sensor

RGB = (635.0, 532.0, 450.0)  # laser lines of the paper's system


def _check_colours(wavelengths_nm: tuple[float, ...]) -> tuple[float, ...]:
    if not wavelengths_nm:
        raise ValueError("no wavelength is stated; state one a channel, or leave the key out")
    for nm in wavelengths_nm:
        if wavelengths_nm.count(nm) > 1:
            raise ValueError(
                f"{nm:g} nm stands {wavelengths_nm.count(nm)} times; each channel of the images "
                "is a colour of its own: state different wavelengths"
            )
    return wavelengths_nm


Wavelengths = Annotated[Several[WavelengthNm], AfterValidator(_check_colours)]


class Optics(Section):
    """The physical size of the metasurface and of one kernel's site on it, and what is on it."""

    metasurface_width_mm: OpticMm = 4.0
    """Width of the metasurface."""
    metasurface_height_mm: OpticMm = 4.0
    """Height of the metasurface."""
    kernel_site_mm: OpticMm = 0.938
    """Side of the square of one sub-optic: 1600 cells of 586 nm. Source: arXiv 2508.08421."""
    gap_mm: GapMm = 0.05
    """Distance between neighbouring sub-optics."""
    wafer_diameter_mm: WaferMm = 100.0
    """Diameter of the wafer, on which the whole metasurface must fit."""
    wavelengths_nm: Wavelengths | None = None
    """One wavelength for each channel of the images. null: 532 for grey images, 635, 532 and 450
    for colours. Source: laser lines of arXiv 2508.08421.
    """
    frontend: Annotated[str, NameOf(OPTICS)] = "ideal"
    """The optics that take the image: ideal kernels (which a metasurface is designed for), a 4f
    system, a plain lens, or optics whose point spread functions were measured.
    """
    four_f: FourF = FourF()
    """The 4f system of frontend: four_f."""
    measured: Measured | None = None
    """The optics of frontend: measured. null: they are not measured."""
    strategy: Literal["kernels-first", "end-to-end"] = "kernels-first"
    """kernels-first: train ideal kernels, then fit the metasurface to them. end-to-end: go on
    from there and train the widths of the pillars and the backend through the wave optics.
    """
    metasurface: Metasurface | None = None
    """The metasurface that is designed of the trained kernels. null: none is designed."""
    sensor: Sensor = Sensor()
    """The camera."""

    def wavelengths_m(self, channels: int) -> tuple[float, ...]:
        """The wavelengths of a scene's channels in metres.

        Raises:
            SpecError: They are not one a channel, or of three channels, which are red, green
                and blue, a shorter one comes before a longer.
        """
        stated = self.wavelengths_nm or {1: (532.0,), len(RGB): RGB}.get(channels)
        if stated is None or len(stated) != channels:
            found = "none" if self.wavelengths_nm is None else len(self.wavelengths_nm)
            raise SpecError(
                f"optics.wavelengths_nm states {found} for images of {channels} channels; "
                "state one wavelength for each channel"
            )
        if channels == len(RGB) and list(stated) != sorted(stated, reverse=True):
            raise SpecError(
                f"optics.wavelengths_nm is {_list(stated)}, but the channels of the images are "
                f"red, green and blue: state {_list(sorted(stated, reverse=True))}"
            )
        return tuple(nm * 1e-9 for nm in stated)


def _list(wavelengths_nm: Sequence[float]) -> str:
    return f"[{', '.join(f'{nm:g}' for nm in wavelengths_nm)}]"
