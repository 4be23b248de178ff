"""How a 4f system was put together: where its masks lie and what its lenses do.

A mask pixel u (counted from the mask's middle) that belongs at the place u of the Fourier plane
lies at ``s R(theta) u + delta``. Both lenses have the focal length ``f (1 + e)`` at distances that
are still f. From scene to mask, and from mask to sensor, light then goes through the matrix

    A = D = e / (1 + e),    B = f (1 + 2 e) / (1 + e)

(free space f, lens, free space f: Goodman 2005, appendix B), and Collins' integral (1970, J. Opt.
Soc. Am. 60, 1168) holds for each: ``exp(i pi / (lambda B) (A x^2 - 2 x u + D u^2))``. So places in
the Fourier plane scale with B in place of f, the scene's amplitude gets the phase
``pi A x^2 / (lambda B)`` and the mask ``2 pi D u^2 / (lambda B)``, a part of each arm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from hybridonn.optics.fabrication.chip_errors import ChipErrors, draw
from hybridonn.optics.fabrication.zernike import NOLL

# Which magnitude each polynomial of NOLL has; both directions of one share it.
OF_NOLL = (
    "lens_defocus_waves",
    "lens_astigmatism_waves",
    "lens_astigmatism_waves",
    "lens_coma_waves",
    "lens_coma_waves",
    "lens_spherical_waves",
)


@dataclass(frozen=True)
class Bench:
    """What was put together wrongly; zero everywhere is the design.

    Attributes:
        shift_m: Place of the masks of each colour's arm, right and down, (C, 2).
        angle_radians: Angle of the masks of each colour's arm, (C,).
        scale: What their pitch has too much, over the pitch, (C,).
        focal: What the focal length of each arm's lenses has too much, over it, (C,).
        waves: Coefficients of the polynomials of :data:`NOLL` over the circle around the mask,
            (C, 6), in waves of the design's light.
        picture_pixels: Place of each mask's image on the sensor, right and down, in pixels of
            the scene, (K, 2, 2).
        brightness: Logarithm of the brightness of each mask's image, (K, 2, C).
        gap: Gap between the pixels of a mask over their pitch: light that passes there is not
            modulated.
    """

    shift_m: Tensor
    angle_radians: Tensor
    scale: Tensor
    focal: Tensor
    waves: Tensor
    picture_pixels: Tensor
    brightness: Tensor
    gap: float = 0.0

    def is_straight(self) -> bool:
        """Whether all but the brightness is as designed."""
        names = {one.name for one in fields(self)} - {"gap", "brightness"}
        return not self.gap and not any(bool(getattr(self, name).any()) for name in names)


def draw_bench(kernels: int, colours: int, errors: ChipErrors) -> Bench:
    """The bench of one chip.

    The masks of a colour are shown, or mounted, at one place, so that shift, angle and scale are
    common to them; images are taken one by one, so that each has a brightness of its own and,
    by a wedge or a drift, a place.

    Args:
        kernels: Number of signed kernels K.
        colours: Number of colours C.
        errors: Magnitudes and the seed.
    """
    waves = [
        errors[name] * draw(f"aberration {number}", (colours,), errors)
        for name, number in zip(OF_NOLL, NOLL, strict=True)
    ]
    return Bench(
        shift_m=errors["mask_shift_m"] * draw("mask shift", (colours, 2), errors),
        angle_radians=errors["mask_rotation_radians"] * draw("mask angle", (colours,), errors),
        scale=errors["mask_scale_fraction"] * draw("mask scale", (colours,), errors),
        focal=errors["focal_length_fraction"] * draw("focal length", (colours,), errors),
        waves=torch.stack(waves, 1),
        picture_pixels=errors["shift_pixels"] * draw("shift", (kernels, 2, 2), errors),
        brightness=errors["brightness_fraction"]
        * draw("brightness", (kernels, 2, colours), errors),
        gap=errors["mask_gap_fraction"],
    )


def straight_bench(kernels: int, colours: int) -> Bench:
    """The bench as designed, a start from which it can be fitted."""
    return draw_bench(kernels, colours, ChipErrors())


def stretch(focal: Tensor) -> Tensor:
    """B / f of lenses whose focal length is ``f (1 + focal)``."""
    return (1 + 2 * focal) / (1 + focal)


def bend_wave(focal: Tensor, wavelength_m: float, focal_length_m: float) -> Tensor:
    """``pi A / (lambda B)`` in radians a square metre: what the scene's amplitude gets."""
    return math.pi / (wavelength_m * focal_length_m) * focal / (1 + 2 * focal)
