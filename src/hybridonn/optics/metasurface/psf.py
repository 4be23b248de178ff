"""From the field behind a metasurface to its point spread function on the sensor.

Law: every cell sends out the spherical wave of the first Rayleigh-Sommerfeld integral,
``E(x) = sum_i E_i h(x - x_i) cell^2`` (Goodman 2005, Introduction to Fourier Optics, equation
3-36; the kernel is :func:`~hybridonn.optics.waves.kernels.spherical_wave`).
The sum is a convolution on one grid. A block of the sensor sees each cell at an offset below
``(cells + block) / 2``, so ``h`` may be cut there and a transform of ``cells + block - 1``
samples gives the sum exactly: nothing wraps round into the block (Shen and Wang 2006, Applied
Optics 45, 1102, section 3). A small block needs half as long a transform as a padded plane.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hybridonn.core.errors import OpticsError, SamplingError
from hybridonn.optics.waves.kernels import check_lengths, spherical_wave
from hybridonn.optics.waves.pruned_fft import convolve, fast_length
from hybridonn.optics.waves.sampling import carried_sine


class BlockPropagator(nn.Module):
    """Carries fields of a square aperture to the square block opposite to its centre.

    Args:
        cells: Samples along a side of the aperture.
        block: Samples along a side of the block.
        pitch_m: Distance from sample to sample, in both planes, in metres.
        wavelengths_m: Wavelengths in the medium between the two, one for each of the C channels.
        distance_m: Distance of the planes, in metres.
        dtype: complex64 or complex128.
        device: Device of the transfer functions.

    Raises:
        OpticsError: A length or number that no grid can have.
        SamplingError: The steepest light from the aperture's edge to the block's aliases.
    """

    transfer: Tensor

    def __init__(
        self,
        cells: int,
        block: int,
        pitch_m: float,
        wavelengths_m: Sequence[float],
        distance_m: float,
        *,
        dtype: torch.dtype = torch.complex64,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        check_lengths(pitch_m, wavelengths_m, distance_m, 1.0)
        if min(cells, block) < 1 or distance_m <= 0:
            raise OpticsError(
                f"an aperture of {cells} cells, a block of {block} and a distance of "
                f"{distance_m:g} m cannot be; all must be above 0"
            )
        check_steepness((cells + block) / 2 * pitch_m, pitch_m, wavelengths_m, distance_m)
        self.cells, self.block = cells, block
        kernels = (_response(cells, block, pitch_m, w, distance_m) for w in wavelengths_m)
        transfer = torch.stack([torch.fft.fft2(kernel).to(dtype) for kernel in kernels])
        self.register_buffer("transfer", transfer.to(device), persistent=False)

    def forward(self, field: Tensor) -> Tensor:
        """Propagate: (..., C, cells, cells) complex to (..., C, block, block).

        Raises:
            OpticsError: The field has another shape.
        """
        self._check_shape(field, self.cells)
        return _Propagation.apply(field, self.transfer, self.block)  # pyright: ignore[reportReturnType]

    def adjoint(self, field: Tensor) -> Tensor:
        """The conjugate transpose: (..., C, block, block) back to (..., C, cells, cells).

        Raises:
            OpticsError: The field has another shape.
        """
        self._check_shape(field, self.block)
        return convolve(field, self.transfer, self.cells, adjoint=True)

    def _check_shape(self, field: Tensor, side: int) -> None:
        wanted = (len(self.transfer), side, side)
        if field.shape[-3:] != wanted:
            raise OpticsError(
                f"the field has the shape {tuple(field.shape)}; its last axes must be {wanted}: "
                "wavelengths, rows and columns"
            )


class _Propagation(torch.autograd.Function):
    # Torch would transform zeros on the way back and keep every step's spectrum.

    @staticmethod
    def forward(ctx: Any, field: Tensor, transfer: Tensor, block: int) -> Tensor:
        ctx.transfer, ctx.cells = transfer, field.shape[-1]
        return convolve(field, transfer, block)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return convolve(gradient, ctx.transfer, ctx.cells, adjoint=True), None, None


def check_steepness(
    offset_m: float, pitch_m: float, wavelengths_m: Sequence[float], distance_m: float
) -> None:
    """Refuse light so steep along an axis that neighbouring cells differ by half a turn.

    Raises:
        SamplingError: Such light would land at a wrong place.
    """
    sine = offset_m / math.hypot(offset_m, distance_m)
    shortest_m = min(wavelengths_m)
    allowed = carried_sine(pitch_m, shortest_m)
    if sine >= allowed:
        raise SamplingError(
            f"light of {shortest_m * 1e9:.4g} nm meets the image's edge with a sine of "
            f"{sine:.3f}; cells of {pitch_m * 1e9:.4g} nm carry less than {allowed:.3f}: use "
            f"smaller cells (below {shortest_m / (2 * sine) * 1e9:.4g} nm), a longer distance to "
            "the sensor, a smaller sub-optic or a smaller image",
            "cell_pillars",
            "distance_m",
            "site_m",
        )


def _response(
    cells: int, block: int, pitch_m: float, wavelength_m: float, distance_m: float
) -> Tensor:
    """The wave of one cell on the transform's grid, first the offset of sample 0 to sample 0."""
    period = fast_length(cells + block - 1)
    # Sample j of the block lies (j - i + (cells - block) / 2) pitches from sample i.
    steps = torch.arange(period)
    steps = torch.where(steps < block, steps, steps - period)
    reached = steps > -cells
    # Even in both offsets: half of each axis says it all. Twice the offset is a whole number.
    doubled = (2 * steps + cells - block).abs()
    halves = torch.unique(doubled[reached])
    offsets_m = halves.double() * (pitch_m / 2)
    wave = spherical_wave(offsets_m, offsets_m, pitch_m, wavelength_m, distance_m)
    index = torch.searchsorted(halves, doubled.clamp(max=int(halves[-1])))
    full = wave[index][:, index]
    return full * (reached[:, None] & reached[None])


def integrate_pixels(intensity: Tensor, pixel_cells: int, bayer: bool = False) -> Tensor:
    """Light a pixel: the sum over its cells, divided by the part of it that sees the colour.

    With a Bayer mosaic a pixel of the image is one RGGB group of 2 x 2 camera pixels: red
    is measured top left, green top right and bottom left, blue bottom right, and each stands
    for the whole pixel (demosaicing by superpixel; the pixel's colours are not shifted back).

    Args:
        intensity: (..., C, H, W), H and W whole numbers of pixels.
        pixel_cells: Cells along the side of a pixel; even with a mosaic.
        bayer: The camera has a Bayer mosaic; C must be 3, red first.

    Returns:
        (..., C, H / pixel_cells, W / pixel_cells).
    """
    if not bayer:
        return _sum_cells(intensity, pixel_cells)
    quarters = _sum_cells(intensity, pixel_cells // 2)
    red, green, blue = quarters.unbind(-3)
    greens = green[..., ::2, 1::2] + green[..., 1::2, ::2]
    return torch.stack([4 * red[..., ::2, ::2], 2 * greens, 4 * blue[..., 1::2, 1::2]], -3)


def _sum_cells(intensity: Tensor, side: int) -> Tensor:
    # Over columns first, in the order in which they lie in memory.
    rows = intensity.unflatten(-1, (-1, side)).sum(-1)
    return rows.unflatten(-2, (-1, side)).sum(-2)
