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

    library: Location | None = None
    """CSV file of transmissions against pillar widths. null: silicon nitride on quartz, which
    comes with the package.
    """
    cell_pillars: Count = 2
    """Pillars along one side of a cell of the design; those of one cell are equal. Source: the
    authors' design notebook.
    """
    sensor_distance_mm: DistanceMm = 2.4
    """Distance from the metasurface to the sensor. Source: the authors' design notebook."""
    kernel_pixel_um: PixelUm = 11.72
    """Side of a kernel's pixel on the sensor: 20 cells of 586 nm, two camera pixels. Source: the
    authors' design notebook.
    """
    min_width_nm: PillarNm = 65.0
    """Narrowest pillar that the fab makes."""
    min_gap_nm: PillarNm = 53.0
    """Narrowest gap between pillars: a period of 293 nm less the widest pillar, 240 nm."""
    grid_nm: Whole = 1.0
    """Grid of the mask writer; widths are multiples of it."""
    min_transmittance: Transmittance = 0.5
    """Least share of the power that a width must transmit at every wavelength, so that guided
    resonances and their neighbours are not used. 0: all widths are used.
    """
    start: Literal["target", "random"] = "target"
    """Widths from which the design starts: of rounds of phase retrieval (target), or drawn at
    random.
    """
    loss: Literal["pictures", "cells"] = "pictures"
    """What is compared: images of the task behind the PSFs (pictures), or the PSFs cell by cell
    (cells), as the authors' design notebook does.
    """
    start_rounds: Count = 3
    """Rounds of phase retrieval before the gradient steps, with start: target."""
    steps: Count = 12
    """Gradient steps of the design."""
    learning_rate: Positive = 0.01
    """Step size of Adam, in parts of the range of widths."""
    schedule: Literal["constant", "falling"] = "falling"
    """Whether the learning rate stays or falls."""
    picture_weight: NotNegative = 0.1
    """Weight of the images of the task in the loss, beside the kernel itself."""
    end_to_end_epochs: Count = 3
    """Epochs of optics.strategy: end-to-end."""
    end_to_end_learning_rate: Positive = 1e-3
    """Learning rate of optics.strategy: end-to-end."""
    seed: Seed = 0
    """Seed of the design."""
    memory_gb: MemoryGb = 4.0
    """Memory that the design may take."""
