"""The pillars, and how their widths are found."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from hybridonn.spec.section import Count, NotNegative, Positive, Section, Seed


class Metasurface(Section):
    """A metasurface of square pillars before a camera; the defaults are the authors' chip."""

    library: Path | None = None  # CSV of transmissions; None: silicon nitride on quartz
    cell_pillars: Count = 2  # a cell of the design is so many by so many equal pillars
    sensor_distance_mm: Positive = 2.4
    kernel_pixel_um: Positive = 11.72  # on the sensor: 20 cells of 586 nm, two camera pixels
    min_width_nm: NotNegative = 65.0
    min_gap_nm: NotNegative = 53.0  # a period of 293 nm less the widest pillar, 240 nm
    grid_nm: Positive = 1.0  # of the mask writer
    start: Literal["target", "random"] = "target"
    loss: Literal["pixels", "cells"] = "pixels"  # what a camera measures, or the authors' loss
    start_rounds: Count = 5
    steps: Count = 20  # of the gradient
    learning_rate: Positive = 0.02  # of Adam, in parts of the range of widths
    schedule: Literal["constant", "falling"] = "falling"  # of the learning rate
    brightness: Positive = 0.95  # of what the start reaches: less is darker and more exact
    end_to_end_epochs: Count = 3  # of optics.strategy: end-to-end
    end_to_end_learning_rate: Positive = 1e-3
    seed: Seed = 0
    memory_gb: Positive = 4.0
