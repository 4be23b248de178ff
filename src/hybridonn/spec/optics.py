"""The optics that a user can make."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hybridonn.errors import SpecError
from hybridonn.spec.four_f import FourF
from hybridonn.spec.metasurface import Metasurface
from hybridonn.spec.section import NotNegative, Positive, Section, Several
from hybridonn.spec.sensor import Sensor


class Optics(Section):
    """The physical size of the metasurface and of one kernel's site on it, and what is on it."""

    metasurface_width_mm: Positive = 4.0
    metasurface_height_mm: Positive = 4.0
    kernel_site_mm: Positive = 0.938  # 1600 cells of 586 nm: one sub-optic of the paper's system
    gap_mm: NotNegative = 0.05
    wafer_diameter_mm: Positive = 100.0  # that the metasurface is made on, corners and all
    # One a channel of the images; None: 532 nm for grey images, 635, 532 and 450 nm for colours.
    wavelengths_nm: Annotated[Several[Positive], Field(min_length=1)] | None = None
    frontend: Literal["ideal", "four_f"] = "ideal"  # what takes the picture in training
    four_f: FourF = FourF()  # of frontend: four_f
    # kernels-first: train ideal kernels, then fit the metasurface to them; end-to-end: go on
    # from there and train the pillars' widths and the backend through the wave optics.
    strategy: Literal["kernels-first", "end-to-end"] = "kernels-first"
    metasurface: Metasurface | None = None  # None: none is designed
    sensor: Sensor = Sensor()

    def wavelengths_m(self, channels: int) -> tuple[float, ...]:
        """The wavelengths of a scene's channels in metres.

        Raises:
            SpecError: They are not one a channel.
        """
        stated = self.wavelengths_nm or {1: (532.0,), 3: (635.0, 532.0, 450.0)}.get(channels)
        if stated is None or len(stated) != channels:
            found = "none" if self.wavelengths_nm is None else len(self.wavelengths_nm)
            raise SpecError(
                f"optics.wavelengths_nm states {found} for images of {channels} channels; "
                "state one wavelength for each channel"
            )
        return tuple(nm * 1e-9 for nm in stated)
