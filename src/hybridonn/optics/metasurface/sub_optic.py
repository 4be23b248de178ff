"""One sub-optic: pillars of many widths, and the point spread function that they make.

Directions: tensors have y down and x to the right as one looks through the metasurface at
the scene. A lensless image on the sensor is inverted; it is read out turned by 180 degrees,
so that images are upright. A point spread function is what the upright image shows of one
distant point. In these terms an image is ``scene conv psf``; ``torch`` correlates, so **the
point spread function of a kernel is the kernel turned by 180 degrees**, and the light on the
sensor itself, before it is turned, has the shape of the kernel.

Light comes as a plane wave at normal incidence, and the same point spread function holds for
the whole scene (Xiang et al. 2025, arXiv 2508.08421, model it so).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, hypot, sqrt
from typing import Any

import torch
from torch import Tensor

from hybridonn.core.errors import OpticsError
from hybridonn.optics.metasurface.psf import BlockPropagator, integrate_pixels
from hybridonn.optics.waves.sampling import carried_sine

WHOLE = 1e-6  # of a cell: decimal lengths are not exact in binary


@dataclass(frozen=True)
class Metasurface:
    """The geometry of one sub-optic and its sensor; lengths in metres.

    Attributes:
        cell_m: Side of a cell of equal pillars.
        cells: Cells along a side of the sub-optic.
        distance_m: Distance of the metasurface to the sensor.
        pixel_cells: Cells along the side of a kernel's pixel on the sensor.
        wavelengths_m: Wavelengths of the C colours.
        bayer: The camera has a Bayer mosaic.
    """

    cell_m: float
    cells: int
    distance_m: float
    pixel_cells: int
    wavelengths_m: tuple[float, ...]
    bayer: bool = False

    @property
    def pixel_m(self) -> float:
        """Side of a kernel's pixel on the sensor."""
        return self.pixel_cells * self.cell_m

    @property
    def aperture_m(self) -> float:
        """Side of the sub-optic."""
        return self.cells * self.cell_m

    @property
    def numerical_aperture(self) -> float:
        """Sine of the angle at which half a side is seen from the middle of the sensor."""
        half_m = self.aperture_m / 2
        return half_m / hypot(half_m, self.distance_m)

    @property
    def widest_picture(self) -> int:
        """Odd number of pixels across that light reaches: cells send none steeper.

        Neighbouring cells turn by half a turn at the sine ``lambda / (2 cell)``.
        """
        sine = min(0.99, carried_sine(self.cell_m, min(self.wavelengths_m)))
        reach_m = self.distance_m * sine / sqrt(1 - sine**2)
        pixels = floor((2 * reach_m / self.cell_m - self.cells - 1) / self.pixel_cells)
        return pixels - (pixels + 1) % 2

    def propagator(
        self, pixels: int, dtype: torch.dtype = torch.complex64, device: torch.device | None = None
    ) -> BlockPropagator:
        """Light to the central ``pixels`` x ``pixels`` pixels of the sensor."""
        return BlockPropagator(
            self.cells,
            pixels * self.pixel_cells,
            self.cell_m,
            self.wavelengths_m,
            self.distance_m,
            dtype=dtype,
            device=device,
        )


def fit_metasurface(
    site_m: float,
    period_m: float,
    cell_pillars: int,
    pixel_m: float,
    distance_m: float,
    wavelengths_m: tuple[float, ...],
    bayer: bool = False,
) -> Metasurface:
    """The largest sub-optic of whole cells that a site of the layout holds.

    Raises:
        OpticsError: A kernel's pixel is no whole number of cells, or the site is smaller
            than a pixel.
    """
    cell_m = period_m * cell_pillars
    cells = floor(site_m / cell_m + WHOLE)
    pixel_cells = round(pixel_m / cell_m)
    if pixel_cells < 1 or abs(pixel_m / cell_m - pixel_cells) > 1e-3:
        nearest_um = max(1, pixel_cells) * cell_m * 1e6
        raise OpticsError(
            f"a kernel's pixel of {pixel_m * 1e6:.6g} um is {pixel_m / cell_m:.4f} cells of "
            f"{cell_m * 1e9:.6g} nm; it must be a whole number: make "
            f"the pixel {nearest_um:.6g} um",
            "pixel_m",
        )
    if cells < pixel_cells:
        raise OpticsError(
            f"a site of {site_m * 1e3:.6g} mm holds {cells} cells of {cell_m * 1e9:.6g} nm; "
            f"at least the {pixel_cells} of one kernel's pixel are needed: "
            "make the site larger",
            "site_m",
        )
    if bayer and (pixel_cells % 2 or len(wavelengths_m) != 3):
        raise OpticsError(
            f"a Bayer mosaic needs three wavelengths, red first, and an even number of cells a "
            f"kernel's pixel; here are {len(wavelengths_m)} wavelengths and {pixel_cells} cells"
        )
    return Metasurface(cell_m, cells, distance_m, pixel_cells, wavelengths_m, bayer)


def measure_psf(field: Tensor, metasurface: Metasurface, propagator: BlockPropagator) -> Tensor:
    """The point spread function of fields just behind the metasurface.

    Args:
        field: Complex transmission a cell, (..., C, cells, cells).
        metasurface: Geometry of the sub-optic.
        propagator: Light to a whole number of pixels.

    Returns:
        (..., C, P, P): the part of the light that falls on the sub-optic which arrives in
        each pixel of the upright image; differentiable.
    """
    return pixel_psf(intensity(propagator(field)), metasurface)


def pixel_psf(light: Tensor, metasurface: Metasurface) -> Tensor:
    """Point spread function of the light a cell of the sensor, (..., C, h, w) to (..., C, P, P)."""
    pixels = integrate_pixels(light, metasurface.pixel_cells, metasurface.bayer)
    return turn(pixels) / metasurface.cells**2


def intensity(field: Tensor) -> Tensor:
    """``|E|^2``; its gradient is exact at zero."""
    return _Intensity.apply(field)  # pyright: ignore[reportReturnType]


class _Intensity(torch.autograd.Function):
    # Torch would write the squares of both parts down, and their gradients again.

    @staticmethod
    def forward(ctx: Any, field: Tensor) -> Tensor:
        ctx.save_for_backward(field)
        real, imaginary = torch.view_as_real(field).unbind(-1)
        return torch.addcmul(real * real, imaginary, imaginary)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        (field,) = ctx.saved_tensors
        doubled = torch.view_as_real(field) * (2 * gradient)[..., None]
        return torch.view_as_complex(doubled)


def turn(picture: Tensor) -> Tensor:
    """From the sensor to the upright image, or back: by 180 degrees."""
    return picture.flip(-1, -2)
