"""The amplitude responses of the masks of a 4f system as it was put together.

With the places of :mod:`hybridonn.optics.fabrication.bench` and one mask pixel as the unit of
length in the Fourier plane, a mask of transmission t has, d scene pixels from the centre,

``h(d) = w^2 / N^2 sinc(w d'_x / N) sinc(w d'_y / N)
sum_u t_u exp(i psi(r)) sinc(r_x / N) sinc(r_y / N) exp(2 pi i d r / N)``,
``r = s R u + delta``, ``d' = R^T d``,

``N = lambda B / (q p)`` and w the side of a mask pixel, which is the law of
:mod:`hybridonn.optics.waves.four_f` where s = 1, R = 1, delta = 0 and w = 1. A point of the source
off the axis, at the angle alpha, moves the scene's spectrum over the mask, which adds
``alpha f / q`` to r, save in the phase psi of the lenses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hybridonn.optics.fabrication.bench import Bench, bend_wave, stretch
from hybridonn.optics.fabrication.light_modes import Mode
from hybridonn.optics.fabrication.zernike import zernike
from hybridonn.optics.waves.four_f import FourFSystem


@dataclass(frozen=True)
class _Arm:
    """The arm of one colour in one mode; lengths in the Fourier plane in mask pixels.

    Attributes:
        period: N.
        scale: s.
        cos: Cosine of the masks' angle.
        sin: Sine of the masks' angle.
        shift: delta, x and y.
        source: What the point of the source adds to r, x and y.
        u: Places of mask pixels along one side, (M,).
        distances: d in pixels of the scene, x and y, each (D,).
        moved: Place of each mask's image in pixels of the scene, x and y, each (S, 1).
    """

    period: Tensor
    scale: Tensor
    cos: Tensor
    sin: Tensor
    shift: Tensor
    source: tuple[float, float]
    u: Tensor
    distances: tuple[Tensor, Tensor]
    moved: tuple[Tensor, Tensor]

    def turn_masks(self) -> tuple[Tensor, Tensor]:
        """``s R u`` of every mask pixel, x and y, each (M, M)."""
        x, y = self.scale * self.u, self.scale * self.u[:, None]
        return self.cos * x - self.sin * y, self.sin * x + self.cos * y

    def turn_back(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """``R^T d`` of distances."""
        return self.cos * x + self.sin * y, self.cos * y - self.sin * x


def respond(
    masks: Tensor, bench: Bench, mode: Mode, system: FourFSystem, shape: tuple[int, int]
) -> Tensor:
    """Amplitude responses of all masks in one mode of the light.

    Args:
        masks: Transmissions at the design's wavelengths, (K, 2, C, M, M) complex.
        bench: How the system was put together.
        mode: The light; its weight is not looked at.
        system: The system as designed.
        shape: (H, W) of the scenes: distances go to H - 1 and W - 1.

    Returns:
        (K, 2, C, 2 H - 1, 2 W - 1) complex, the distance 0 in the middle.
    """
    found = []
    for colour, designed_m in enumerate(system.wavelengths_m):
        wavelength_m = mode.wavelengths_m[colour]
        arm = _build_arm(bench, colour, mode, system, shape)
        own = disperse(masks[:, :, colour].flatten(0, 1), designed_m / wavelength_m)
        pupil = _pupil(arm, bench, colour, system, wavelength_m).to(own)
        found.append(_sum_pixels(own, pupil, arm, bench.gap))
    sides = [2 * size - 1 for size in shape]
    return torch.stack(found, 1).unflatten(0, masks.shape[:2]).unflatten(-1, sides)


def disperse(masks: Tensor, ratio: float) -> Tensor:
    """Masks in light of another wavelength: the optical path of a pixel stays, not its phase.

    Args:
        masks: Complex, of phases from -pi to pi in the design's light.
        ratio: The design's wavelength over that of the light.
    """
    if ratio == 1:
        return masks
    return torch.polar(masks.abs(), masks.angle() * ratio)


def _build_arm(
    bench: Bench, colour: int, mode: Mode, system: FourFSystem, shape: tuple[int, int]
) -> _Arm:
    angle = bench.angle_radians[colour].double()
    ratio = mode.wavelengths_m[colour] / system.wavelengths_m[colour]
    pixels_a_radian = system.focal_length_m / system.mask_pitch_m
    rows, columns = (torch.arange(1 - n, n, dtype=torch.float64) for n in shape)
    moved = bench.picture_pixels.flatten(0, 1).double()
    return _Arm(
        period=system.periods[colour] * ratio * stretch(bench.focal[colour].double()),
        scale=1 + bench.scale[colour].double(),
        cos=angle.cos(),
        sin=angle.sin(),
        shift=bench.shift_m[colour].double() / system.mask_pitch_m,
        source=(pixels_a_radian * mode.direction[0], pixels_a_radian * mode.direction[1]),
        u=torch.arange(system.mask_pixels, dtype=torch.float64) - (system.mask_pixels - 1) / 2,
        distances=(columns.repeat(len(rows)), rows.repeat_interleave(len(columns))),
        moved=(moved[:, :1], moved[:, 1:]),
    )


def _pupil(
    arm: _Arm, bench: Bench, colour: int, system: FourFSystem, wavelength_m: float
) -> Tensor:
    """What lenses and scene pixels make of each mask pixel's light, (M, M) complex."""
    x, y = (own + more for own, more in zip(arm.turn_masks(), arm.shift, strict=True))
    # The circle around the mask: no pixel lies outside of the polynomials' disc.
    radius = system.mask_pixels / math.sqrt(2)
    waves = torch.einsum("n,nyx->yx", bench.waves[colour].double(), zernike(x / radius, y / radius))
    turns = waves * system.wavelengths_m[colour] / wavelength_m
    curve = bend_wave(bench.focal[colour].double(), wavelength_m, system.focal_length_m)
    square_m2 = (x.square() + y.square()) * system.mask_pitch_m**2
    angle = 2 * math.pi * turns + 2 * curve * square_m2
    seen = [(one + more) / arm.period for one, more in zip((x, y), arm.source, strict=True)]
    return torch.polar(torch.sinc(seen[0]) * torch.sinc(seen[1]), angle)


def _sum_pixels(masks: Tensor, pupil: Tensor, arm: _Arm, gap: float) -> Tensor:
    """H of (S, M, M) masks at all distances, (S, D)."""
    if not gap:
        return _transform(masks * pupil, arm, 1.0)
    # Pixels with a gap around them are an open mask and, in each pixel, what is added to it.
    opened = _transform(torch.ones_like(masks) * pupil, arm, 1.0)
    return _transform((masks - 1) * pupil, arm, 1.0 - gap) + opened


def _transform(light: Tensor, arm: _Arm, fill: float) -> Tensor:
    """The sum over mask pixels whose side is ``fill`` of their pitch, (S, M, M) to (S, D)."""
    (dx, dy), (x, y), N = arm.distances, arm.turn_masks(), arm.period
    # An image that lies elsewhere, h(d - moved), is a linear phase over its mask.
    away = _turn(-(arm.moved[0][..., None] * x + arm.moved[1][..., None] * y) / N)
    right, down = (
        _turn(arm.scale * d[:, None] * arm.u / N).to(light) for d in arm.turn_back(dx, dy)
    )
    summed = ((down @ (light * away.to(light))) * right).sum(-1)
    middle = [one + more for one, more in zip(arm.shift, arm.source, strict=True)]
    width = fill * arm.scale / N
    own = arm.turn_back(dx - arm.moved[0], dy - arm.moved[1])
    pixel = width.square() * torch.sinc(width * own[0]) * torch.sinc(width * own[1])
    return summed * (_turn((dx * middle[0] + dy * middle[1]) / N) * pixel).to(light)


def _turn(turns: Tensor) -> Tensor:
    """``exp(2 pi i turns)``."""
    return torch.polar(torch.ones_like(turns), 2 * math.pi * torch.remainder(turns, 1.0))
