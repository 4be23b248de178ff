"""From the point spread functions of a design to those of a chip that was made.

What a fab does to a metasurface's pillars is in ``fabricated_psf``; what is here acts on the
images of sub-optics, of ideal kernels or of such a metasurface.

The image of the paper (Xiang et al., NeurIPS 2025) behind a fabricated
kernel is ``brightness * misalignment * (a conv (k + delta)) + noise``. Every
factor is drawn here from a seed; each error has draws of its own, so that one
can be switched off, or a new one added, without changing the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from hybridonn.optics.fabrication.chip_errors import ChipErrors, apply_laws, draw
from hybridonn.optics.fabrication.crosstalk import mix_neighbours
from hybridonn.optics.layout.sites import Layout


@dataclass(frozen=True)
class ChipPsfs:
    """What the optics of a chip are, as designed or as made.

    Attributes:
        psfs: Point spread functions, (K, 2, C, P, P): of each kernel the positive and the
            negative sub-optic. Not negative.
        gains: What the electronics multiply the images by before they subtract, (K, 2, C).
        layout: Where the sub-optics lie on the chip.
    """

    psfs: Tensor
    gains: Tensor
    layout: Layout


def fabricate(design: ChipPsfs, errors: ChipErrors) -> ChipPsfs:
    """Make a chip of a design; its gains stay as designed.

    Args:
        design: What was wanted.
        errors: Magnitudes and the seed.

    Returns:
        The chip; its point spread functions have a margin that holds what has moved outwards.
    """
    psfs = apply_laws("kernels", design.psfs, errors, design.layout)
    return assemble(ChipPsfs(psfs, design.gains, design.layout), errors)


def assemble(made: ChipPsfs, errors: ChipErrors) -> ChipPsfs:
    """Place sub-optics on a chip: where they lie, how bright they are, whose light they get.

    Args:
        made: Kernels as they were made, each where it was wanted.
        errors: Magnitudes and the seed.

    Returns:
        The chip; its point spread functions have a margin that holds what has moved outwards.
    """
    psfs = apply_laws("pictures", pad(made.psfs, margin_of(errors)), errors, made.layout)
    return ChipPsfs(psfs, made.gains, made.layout)


def add_delta(psfs: Tensor, errors: ChipErrors, _: Layout | None = None) -> Tensor:
    """``k + delta``: independent of pixel to pixel, of the root mean square of the kernel.

    What would be negative is dark: light is. Of a metasurface the pillars make delta.
    """
    rms = psfs.square().sum(1, keepdim=True).mean((2, 3, 4), keepdim=True).sqrt()
    noise = draw("delta", psfs.shape, errors).to(psfs)
    return F.relu(psfs + errors["kernel_noise_fraction"] * rms * noise)


def margin_of(errors: ChipErrors) -> int:
    """Pixels that shift, blur and rotation may carry light outwards: three standard deviations."""
    if not (errors["shift_pixels"] or errors["defocus_pixels"] or errors["rotation_radians"]):
        return 0
    return 1 + math.ceil(3 * math.hypot(errors["shift_pixels"], errors["defocus_pixels"]))


def pad(psfs: Tensor, margin: int) -> Tensor:
    """Darkness around every point spread function."""
    return F.pad(psfs, (margin,) * 4)


def misalign(psfs: Tensor, errors: ChipErrors, _: Layout | None = None) -> Tensor:
    """Shift each sub-optic, rotate the chip and each sub-optic.

    Bilinear interpolation is exact for a shift of pixels that integrate over their area.
    """
    kernels = psfs.shape[0]
    shift = errors["shift_pixels"] * draw("shift", (kernels, 2, 2), errors)
    angle = draw("angle", (1, 1), errors) + draw("angle of each sub-optic", (kernels, 2), errors)
    # Two equal and independent parts: together they have the stated magnitude.
    angle = errors["rotation_radians"] / math.sqrt(2) * angle
    if not errors["shift_pixels"] and not errors["rotation_radians"]:
        return psfs
    flat = psfs.flatten(0, 1)
    moved = resample(flat, shift.flatten(0, 1).to(psfs), angle.flatten().to(psfs))
    return moved.view_as(psfs)


def resample(pictures: Tensor, shift_pixels: Tensor, angle_radians: Tensor) -> Tensor:
    """Rotate images about their centre, then shift them; beyond their edges it is dark.

    Args:
        pictures: Square images, (N, C, P, P).
        shift_pixels: (N, 2): right and down.
        angle_radians: (N,), anticlockwise as one sees it, rows counted downwards.
    """
    cos, sin = torch.cos(angle_radians), torch.sin(angle_radians)
    right, down = shift_pixels.unbind(1)
    # grid_sample measures from -1 to 1 over the whole image: a pixel is 2 / P.
    pixel = 2 / pictures.shape[-1]
    x = torch.stack([cos, -sin, -(cos * right - sin * down) * pixel], 1)
    y = torch.stack([sin, cos, -(sin * right + cos * down) * pixel], 1)
    grid = F.affine_grid(torch.stack([x, y], 1), list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="zeros", align_corners=False)


def defocus(psfs: Tensor, errors: ChipErrors, _: Layout | None = None) -> Tensor:
    """Blur each colour as far as it is out of focus, (K, 2, C, P, P)."""
    return blur(psfs, draw_defocus(psfs.shape[2], errors).to(psfs))


def mix(psfs: Tensor, errors: ChipErrors, layout: Layout) -> Tensor:
    """Spread a part of the light of each sub-optic over its neighbours, (K, 2, C, P, P)."""
    return mix_neighbours(psfs, layout, errors["crosstalk_fraction"])


def draw_defocus(colours: int, errors: ChipErrors) -> Tensor:
    """The width of the blur of each colour in pixels, (C,): colours focus at different depths."""
    return errors["defocus_pixels"] * draw("defocus", (colours,), errors).abs()


def blur(psfs: Tensor, width_pixels: Tensor) -> Tensor:
    """Convolve with a Gaussian of unit sum: what an out-of-focus spot is to first order.

    Args:
        psfs: (..., C, P, P).
        width_pixels: Standard deviation of each colour, (C,); zero leaves it as it is.
    """
    if not bool(width_pixels.any()):
        return psfs
    reach = math.ceil(3 * float(width_pixels.max()))
    place = torch.arange(-reach, reach + 1, device=psfs.device, dtype=psfs.dtype)
    sigma = width_pixels.clamp_min(1e-3)[:, None]
    line = torch.exp(-place.square() / (2 * sigma.square()))
    line = line / line.sum(1, keepdim=True)
    flat = psfs.reshape(-1, *psfs.shape[-3:])
    colours = psfs.shape[-3]
    flat = F.conv2d(flat, line[:, None, :, None], padding=(reach, 0), groups=colours)
    flat = F.conv2d(flat, line[:, None, None, :], padding=(0, reach), groups=colours)
    return flat.view_as(psfs)


def brighten(psfs: Tensor, errors: ChipErrors, _: Layout | None = None) -> Tensor:
    """Multiply each sub-optic and colour by its brightness, ``exp`` of a normal draw."""
    noise = draw("brightness", psfs.shape[:3], errors).to(psfs)
    return psfs * torch.exp(errors["brightness_fraction"] * noise)[..., None, None]
