"""The pillars, and how their widths are found."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hybridonn.spec.quantities import DistanceMm, MemoryGb, PillarNm, PixelUm
from hybridonn.spec.section import Count, Location, NotNegative, Positive, Section, Seed

Whole = Annotated[float, Field(ge=1, le=100, multiple_of=1)]
Transmittance = Annotated[float, Field(ge=0, lt=1)]


class Metasurface(Section):
    """A metasurface of square pillars before a camera; the defaults are the authors' chip."""

    library: Location | None = None  # CSV of transmissions; None: silicon nitride on quartz
    cell_pillars: Count = 2  # a cell of the design is so many by so many equal pillars
    sensor_distance_mm: DistanceMm = 2.4
    kernel_pixel_um: PixelUm = 11.72  # on the sensor: 20 cells of 586 nm, two camera pixels
    min_width_nm: PillarNm = 65.0
    min_gap_nm: PillarNm = 53.0  # a period of 293 nm less the widest pillar, 240 nm
    grid_nm: Whole = 1.0  # of the mask writer; widths are kept in whole nanometres
    # Widths that transmit a smaller share of the power at any wavelength are not used, nor are
    # their neighbours in the library: guided resonances. 0: all widths are used.
    min_transmittance: Transmittance = 0.5
    start: Literal["target", "random"] = "target"
    loss: Literal["pictures", "cells"] = "pictures"  # of the task's images, or the authors' loss
    start_rounds: Count = 3
    steps: Count = 12  # of the gradient
    learning_rate: Positive = 0.01  # of Adam, in parts of the range of widths
    schedule: Literal["constant", "falling"] = "falling"  # of the learning rate
    picture_weight: NotNegative = 0.1  # of the images' images beside the kernel itself
    end_to_end_epochs: Count = 3  # of optics.strategy: end-to-end
    end_to_end_learning_rate: Positive = 1e-3
    seed: Seed = 0
    memory_gb: MemoryGb = 4.0
