"""Light that one sub-optic throws onto its neighbours' images.

Who is whose neighbour, the layout says, for both models that are here: a stated fraction that
goes to the next sub-optics, and rays that follow the light of a metasurface.

How much light goes where beyond the image is asked for the whole chip, far from each axis,
where a wave calculation of every sub-optic would need grids several times as large. So light is
followed as rays: the field is cut into patches, the spectrum of a patch says how much of its
power goes at which angle, and the ray lands at ``x + z tan(angle)``. A patch of side
``sqrt(lambda z)`` spreads as much by its size as by diffraction, the least of both together
(the resolution of a spectrogram; Goodman 2005, Introduction to Fourier Optics, section 2.2).
The patches' sharp edges throw up to a tenth of the light too far: the numbers are estimates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from hybridonn.core.errors import OpticsError
from hybridonn.optics.layout.sites import Layout, Site
from hybridonn.optics.metasurface.sub_optic import Metasurface, turn


def trace_light(field: Tensor, metasurface: Metasurface, pixels: int) -> Tensor:
    """Where the light of a sub-optic lands, coarsely, also far from its axis.

    Args:
        field: Just behind the metasurface, (C, cells, cells) complex.
        metasurface: The geometry.
        pixels: Odd number of the image's pixels along a side of the map.

    Returns:
        (C, pixels, pixels): part of the light on the sub-optic that lands in each pixel of the
        sensor (not turned).
    """
    maps = [
        _trace_colour(colour, metasurface, wavelength_m, pixels)
        for colour, wavelength_m in zip(field, metasurface.wavelengths_m, strict=True)
    ]
    return torch.stack(maps) / metasurface.cells**2


def _trace_colour(
    field: Tensor, metasurface: Metasurface, wavelength_m: float, pixels: int
) -> Tensor:
    cell_m, pixel_m = metasurface.cell_m, metasurface.pixel_m
    side = max(1, round(math.sqrt(wavelength_m * metasurface.distance_m) / cell_m))
    count = -(-metasurface.cells // side)
    rest = count * side - metasurface.cells
    patches = F.pad(field, (0, rest, 0, rest)).unflatten(-1, (count, side))
    patches = patches.unflatten(-3, (count, side)).transpose(-2, -3)
    power = torch.fft.fft2(patches).abs().square() / side**2
    sines = wavelength_m * torch.fft.fftfreq(side, cell_m, device=field.device)
    axial = (1 - sines[:, None] ** 2 - sines[None] ** 2).clamp_min(0).sqrt()
    centres = (torch.arange(count, device=field.device) + 0.5) * side - metasurface.cells / 2
    run_m = metasurface.distance_m / axial.clamp_min(1e-9)
    rows = centres[:, None, None, None] * cell_m + (sines[:, None] * run_m)[None, None]
    columns = centres[None, :, None, None] * cell_m + (sines[None] * run_m)[None, None]
    rows, columns = (
        torch.floor(x / pixel_m + pixels / 2).expand_as(power) for x in (rows, columns)
    )
    inside = (rows >= 0) & (rows < pixels) & (columns >= 0) & (columns < pixels) & (axial > 0)
    index = (rows * pixels + columns)[inside].long()
    landed = torch.zeros(pixels**2, dtype=power.dtype, device=field.device)
    landed = landed.index_add(0, index, power[inside]).view(1, pixels, pixels)
    width = max(1, round(side * cell_m / pixel_m)) // 2 * 2 + 1  # odd: nothing is shifted
    return F.avg_pool2d(landed, width, 1, width // 2)[0]


def count_reach(metasurface: Metasurface, layout: Layout, pixels: int) -> int:
    """Odd number of pixels of a map that holds the images of all sub-optics in reach.

    Args:
        metasurface: The geometry.
        layout: Where the sub-optics lie.
        pixels: Pixels along a side of an image.
    """
    sine = min(0.99, max(metasurface.wavelengths_m) / (2 * metasurface.cell_m))
    steepest_m = metasurface.distance_m * sine / math.sqrt(1 - sine**2)
    farthest_m = metasurface.cells * metasurface.cell_m / 2 + steepest_m
    chip_m = max(layout.rows, layout.columns) * layout.pitch_m
    reach = math.ceil(min(farthest_m, chip_m + metasurface.pixel_m * pixels) / metasurface.pixel_m)
    return 2 * reach + 1


def leak_light(maps: Tensor, layout: Layout, metasurface: Metasurface, pixels: int) -> Tensor:
    """What all other sub-optics throw onto the image of each.

    Args:
        maps: Light that :func:`trace_light` found, (K, 2, C, Q, Q).
        layout: Where the sub-optics lie.
        metasurface: The geometry.
        pixels: Odd side of the wanted window around each sub-optic's axis.

    Returns:
        (K, 2, C, pixels, pixels), upright as a point spread function is: to be added to it.
    """
    axes = place_sub_optics(layout)
    leaked = maps.new_zeros(*maps.shape[:3], pixels, pixels)
    for place, (down_m, right_m) in axes.items():
        for other, (other_down_m, other_right_m) in axes.items():
            if other != place:
                offset = (down_m - other_down_m, right_m - other_right_m)
                steps = [round(length_m / metasurface.pixel_m) for length_m in offset]
                leaked[place] += _window(maps[other], steps, pixels)
    return turn(leaked)


def mix_neighbours(psfs: Tensor, layout: Layout, fraction: float) -> Tensor:
    """A part of each sub-optic's light lands on the images of its neighbours, evenly.

    What goes to an empty site, or beyond the edge of the grid, is lost.

    Args:
        psfs: (K, 2, C, P, P).
        layout: Where the sub-optics lie.
        fraction: Part of the light that leaves; a quarter goes to each of four neighbouring sites.

    Raises:
        OpticsError: The layout holds another number of kernels.
    """
    if not fraction:
        return psfs
    if layout.kernels != len(psfs):
        raise OpticsError(
            f"the layout places {layout.kernels} kernels, but there are {len(psfs)} point spread "
            "functions of kernels; lay out as many"
        )
    pairs = torch.tensor(find_neighbours(layout), dtype=torch.long, device=psfs.device)
    sources, places = pairs.view(-1, 2).unbind(1)
    flat = psfs.flatten(0, 1)
    mixed = ((1 - fraction) * flat).index_add(0, places, fraction / 4 * flat[sources])
    return mixed.view_as(psfs)


def find_neighbours(layout: Layout) -> list[tuple[int, int]]:
    """The pairs of sub-optics side by side, each in both orders.

    Sub-optics are counted as in a flattened (K, 2): positive and negative part of kernel 0, of
    kernel 1 and so on.
    """
    grid = {
        (site.row, site.column): 2 * site.kernel + _part(site)
        for site in layout.sites
        if site.kernel is not None
    }
    return [
        (place, grid[row + down, column + right])
        for (row, column), place in grid.items()
        for down, right in ((-1, 0), (0, -1), (0, 1), (1, 0))
        if (row + down, column + right) in grid
    ]


def measure_crosstalk(psfs: Tensor, leaked: Tensor) -> Tensor:
    """Neighbours' light over a sub-optic's own on its image, mean of the colours, (K, 2).

    Args:
        psfs: Light of a distant point on the axis behind each sub-optic, (K, 2, C, P, P).
        leaked: Neighbours' light that :func:`leak_light` found, of the same size.
    """
    return leaked.sum((-1, -2, -3)) / psfs.sum((-1, -2, -3))


def place_sub_optics(layout: Layout) -> dict[tuple[int, int], tuple[float, float]]:
    """Kernel and part (0 positive, 1 negative) to the axis, down and to the right in metres.

    They are measured from the centre of the chip; the layout has y up, images have y down.
    """
    return {
        (site.kernel, _part(site)): (-site.y_m, site.x_m)
        for site in layout.sites
        if site.kernel is not None
    }


def _part(site: Site) -> int:
    return 0 if site.sign > 0 else 1


def _window(light: Tensor, steps: Sequence[int], pixels: int) -> Tensor:
    half, middle = pixels // 2, light.shape[-1] // 2
    first = [middle + step - half for step in steps]
    padded = F.pad(light, 4 * (pixels,))  # what lies beyond the map is dark
    low = [min(max(start + pixels, 0), padded.shape[-1] - pixels) for start in first]
    return padded[..., low[0] : low[0] + pixels, low[1] : low[1] + pixels]
