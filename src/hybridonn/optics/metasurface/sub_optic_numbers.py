"""What the sub-optics of a design do to light: the numbers and images of a metasurface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from hybridonn.optics.fabrication.crosstalk import trace_light
from hybridonn.optics.meta_atoms.pillars import PillarLibrary, transmit
from hybridonn.optics.metasurface.inverse_design import count_plane_pixels, measure_residuals
from hybridonn.optics.metasurface.sub_optic import Metasurface, intensity, pixel_psf, turn
from hybridonn.optics.metasurface.targets import Targets, crop_centre

MARGIN = 2  # pixels of darkness around a kernel in its image


@dataclass(frozen=True)
class Optics:
    """Numbers of the sub-optics of K kernels; light as a part of what falls on the sub-optic.

    Attributes:
        psfs: Light a pixel of the upright image, (K, 2, C, P, P).
        residuals: The authors' D, (K, 2, C); nan where nothing is wanted.
        landed: Where light lands far from the axis, on the sensor, (K, 2, C, Q, Q).
        fine: The kernel's surroundings a cell, upright, (K, 2, C, h, w).
    """

    psfs: Tensor
    residuals: Tensor
    landed: Tensor
    fine: Tensor


def count_window(metasurface: Metasurface, picture: int, kernel_size: int) -> int:
    """Odd number of pixels that hold all light of a scene's images of so many pixels."""
    return max(kernel_size, min(2 * picture - 1, metasurface.widest_picture))


@torch.no_grad()
def measure_optics(
    widths_m: Tensor,
    targets: Targets,
    metasurface: Metasurface,
    library: PillarLibrary,
    window: int,
    reach: int,
) -> Optics:
    """Simulate designed sub-optics, one at a time.

    Args:
        widths_m: Widths of the pillars, (K, 2, cells, cells), in metres.
        targets: Targets of the K kernels.
        metasurface: Geometry of a sub-optic.
        library: Pillars, at the metasurface's wavelengths.
        window: Odd side of the point spread functions, in pixels.
        reach: Odd side of the coarse map, in pixels.

    Raises:
        OpticsError: A width is negative, not a number or not in the library.
        SamplingError: The cells are too large for the window.
    """
    size = targets.parts.shape[-1]
    plane = max(window, count_plane_pixels(metasurface, size))
    propagator = metasurface.propagator(plane, device=widths_m.device)
    found: list[Optics] = []
    for kernel in range(len(widths_m)):
        own = targets.take(slice(kernel, kernel + 1))
        for part in range(2):
            field = transmit(library, widths_m[kernel, part]).to(torch.complex64)
            light = intensity(propagator(field))
            sized = crop_centre(light, size_of_plane(metasurface, size))
            both = Targets(own.parts[:, part : part + 1], own.scale)
            near = min(plane, size + 2 * MARGIN) * metasurface.pixel_cells
            found.append(
                Optics(
                    crop_centre(pixel_psf(light, metasurface), window)[None],
                    measure_residuals(sized[None, None], both, metasurface)[0],
                    trace_light(field, metasurface, reach)[None],
                    turn(crop_centre(light, near))[None] / metasurface.cells**2,
                )
            )
    return _join(found, len(widths_m))


def size_of_plane(metasurface: Metasurface, kernel_size: int) -> int:
    """Cells along a side of the plane behind a sub-optic on which residuals are taken."""
    return count_plane_pixels(metasurface, kernel_size) * metasurface.pixel_cells


def _join(parts: Sequence[Optics], kernels: int) -> Optics:
    joined = (torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Optics))
    return Optics(*(tensor.unflatten(0, (kernels, 2)) for tensor in joined))
