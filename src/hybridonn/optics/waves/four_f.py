"""The coherent 4f system: scene, lens, mask in the Fourier plane, lens, sensor.

A scene of pixels of pitch p, lit by coherent light of amplitude sqrt(radiance), lies in
the front focal plane of a lens. In its back focal plane lies its Fourier transform, a
spatial frequency nu at ``lambda f1 nu`` (Goodman 2005, Introduction to Fourier Optics,
equation 5-19), where the mask multiplies it. A second lens transforms back on to the
sensor, which sees ``|E|^2``; the image stands on its head, magnified ``f2 / f1`` times,
and is read out turned, so that here it stands upright on the pixels of the scene.

Scale: one mask pixel of pitch q is ``1 / N`` of the band ``1 / p`` of the scene's grid, with
``N = lambda f1 / (q p)``. A mask of M x M pixels of transmission t has therefore the
amplitude response, d scene pixels from the centre,

``h(d) = 1/N sinc(d / N) sum_m t_m sinc(u_m / N) exp(2 pi i d u_m / N)``, ``u_m = m - (M - 1) / 2``

along each axis, for any pitches, without a grid of frequencies between them: the first sinc
is the shape of a mask pixel, exactly; the second is the shape of a scene pixel, taken at the
middle of each mask pixel (0.3 % of h at N = 28, and less the larger N). The sensor's pixels
are read at their middles.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from hybridonn.core.errors import OpticsError, SamplingError
from hybridonn.optics.waves.sampling import SamplingWarning

# Below half of the scene's band a neighbouring pixel cannot be told from the next but one.
LEAST_BAND = 0.5
ROUNDING = 1e-9  # decimal lengths are not exact in binary


@dataclass(frozen=True)
class FourFSystem:
    """Two lenses and a square mask between them; lengths in metres.

    Attributes:
        wavelengths_m: One for each colour; each has an arm and masks of its own.
        focal_length_m: f1, of the lens behind the scene.
        mask_pixels: M, along one side of the mask.
        mask_pitch_m: q, from mask pixel to mask pixel; the pixels fill it.
        scene_pitch_m: p, from scene pixel to scene pixel; the pixels fill it.
        magnification: f2 / f1.
    """

    wavelengths_m: tuple[float, ...]
    focal_length_m: float
    mask_pixels: int
    mask_pitch_m: float
    scene_pitch_m: float
    magnification: float = 1.0

    def __post_init__(self) -> None:
        lengths = (self.focal_length_m, self.mask_pitch_m, self.scene_pitch_m, self.magnification)
        if not self.wavelengths_m or not all(
            math.isfinite(length) and length > 0 for length in (*lengths, *self.wavelengths_m)
        ):
            raise OpticsError(f"every length must be finite and greater than 0, found {self}")
        if self.mask_pixels < 1:
            raise OpticsError(f"mask_pixels is {self.mask_pixels}; it must be at least 1")

    @property
    def sensor_pitch_m(self) -> float:
        """The sensor's pitch on which one pixel sees one pixel of the scene."""
        return self.scene_pitch_m * self.magnification

    @property
    def periods(self) -> tuple[float, ...]:
        """N of each colour: mask pixels in the scene's band, scene pixels between two orders."""
        product_m2 = self.mask_pitch_m * self.scene_pitch_m
        return tuple(w * self.focal_length_m / product_m2 for w in self.wavelengths_m)


def check_four_f(system: FourFSystem, shape: tuple[int, int]) -> None:
    """Check the scale of a system against scenes of (H, W) pixels.

    Raises:
        SamplingError: The mask passes higher orders of the scene's pixel grid, which a
            sensor of one pixel a scene pixel cannot tell from the image.
    """
    shortest, longest = min(system.periods), max(system.periods)
    if system.mask_pixels > shortest * (1 + ROUNDING):
        raise SamplingError(
            f"the mask has {system.mask_pixels} pixels a side, but the band of the scene's pixels "
            f"is {shortest:.4g} mask pixels wide at {min(system.wavelengths_m) * 1e9:.4g} nm "
            "(wavelength * focal length / (mask pitch * scene pitch)); use at most "
            f"{math.floor(shortest * (1 + ROUNDING))} pixels, a smaller mask pitch or scene pitch, "
            "or a longer focal length"
        )
    if shortest < max(shape) * (1 - ROUNDING):
        _warn(
            f"the pixels of the mask send copies of the image {shortest:.4g} pixels beside it, "
            f"on to a sensor of {max(shape)} pixels; the mask pitch would have to be at most "
            f"{system.mask_pitch_m * shortest / max(shape) * 1e6:.4g} um"
        )
    if system.mask_pixels < LEAST_BAND * longest * (1 - ROUNDING):
        _warn(
            f"the mask passes {system.mask_pixels / longest:.3g} of the scene's band at "
            f"{max(system.wavelengths_m) * 1e9:.4g} nm, allowed is {LEAST_BAND:g} and more: the "
            f"image is blurred; use at least {math.ceil(LEAST_BAND * longest)} mask pixels"
        )


def _warn(message: str) -> None:
    warnings.warn(message, SamplingWarning, stacklevel=3)


def response_matrix(system: FourFSystem, reach: int, dtype: torch.dtype) -> Tensor:
    """From the mask's pixels to the amplitude response, along one axis.

    Args:
        system: The scale.
        reach: Largest distance d in scene pixels.
        dtype: complex64 or complex128; phases are computed in float64.

    Returns:
        (C, 2 reach + 1, M), distances from -reach to reach.
    """
    d = torch.arange(-reach, reach + 1, dtype=torch.float64)[:, None]
    u = torch.arange(system.mask_pixels, dtype=torch.float64) - (system.mask_pixels - 1) / 2
    matrices = []
    for period in system.periods:
        turns = torch.remainder(d * u / period, 1.0)
        amplitude = torch.sinc(d / period) * torch.sinc(u / period) / period
        matrices.append(torch.polar(torch.ones_like(turns), 2 * math.pi * turns) * amplitude)
    return torch.stack(matrices).to(dtype)


def transfer_matrix(response: Tensor, size: int, samples: int) -> Tensor:
    """From the mask's pixels to the transfer function of a padded grid, along one axis.

    Args:
        response: (C, 2 reach + 1, M) of :func:`response_matrix`.
        size: Scene pixels; the response must reach ``size - 1``.
        samples: Samples of the padded grid, at least ``2 size - 1``: the picture wraps round
            outside the scene only.

    Returns:
        (C, samples, M), zero frequency first.
    """
    reach = response.shape[1] // 2
    inside = response[:, reach - size + 1 : reach + size]
    padded = torch.nn.functional.pad(inside.mT, (0, samples - inside.shape[1])).mT
    return torch.fft.fft(padded.roll(1 - size, 1), dim=1)


def expose(amplitude: Tensor, transfer: Tensor) -> Tensor:
    """The images that the sensor takes through each mask; colours add up.

    Args:
        amplitude: (B, C, H, W) real, sqrt(radiance).
        transfer: (S, C, Hp, Wp) complex, of S masks.

    Returns:
        Intensities (B, S, H, W).
    """
    rows, columns = amplitude.shape[-2:]
    spectrum = torch.fft.fft2(amplitude, s=transfer.shape[-2:])
    field = torch.fft.ifft2(spectrum[:, None] * transfer)[..., :rows, :columns]
    return torch.view_as_real(field).square().sum((2, -1))
