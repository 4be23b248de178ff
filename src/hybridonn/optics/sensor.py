"""What a camera makes of light: electrons, noise, saturation, numbers.

With ``e`` the mean number of electrons of a camera pixel, shot noise is Poisson's with mean e
and read noise is normal; the converter clips at full well and rounds it to ``2^bits - 1``
steps (EMVA Standard 1288, release 4.0, section 2). A pixel of the image is a group of
camera pixels that are read out separately and summed in electronics.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hybridonn.core.errors import OpticsError

FEW = 100  # electrons: from here on Poisson's distribution is normal but for 0.007


@dataclass(frozen=True)
class Sensor:
    """A camera behind one sub-optic.

    Attributes:
        full_well_electrons: A camera pixel's electrons at saturation.
        read_noise_electrons: Standard deviation of a camera pixel in darkness.
        bit_depth: Bits of the converter; None: not rounded.
        exposure: Electrons of the brightest light over full well; above 1 it saturates.
        camera_pixels: Camera pixels in a pixel of the image, for each colour.
    """

    full_well_electrons: float
    read_noise_electrons: float
    bit_depth: int | None
    exposure: float
    camera_pixels: tuple[int, ...]


def count_camera_pixels(pixel_m: float, camera_pixel_m: float, bayer: bool) -> int:
    """Camera pixels along a side of the image's pixel.

    Raises:
        OpticsError: It is not a whole number, or not 2 where there is a Bayer mosaic.
    """
    side = round(pixel_m / camera_pixel_m)
    if side < 1 or abs(pixel_m / camera_pixel_m - side) > 1e-3 or (bayer and side != 2):
        raise OpticsError(
            f"a kernel's pixel of {pixel_m * 1e6:.6g} um is {pixel_m / camera_pixel_m:.4g} camera "
            f"pixels of {camera_pixel_m * 1e6:.6g} um; it must be a whole number"
            + (", and 2 with a Bayer mosaic" if bayer else "")
            + ": change one of the two",
            "camera_pixel_m",
            "pixel_m",
        )
    return side


def share_camera_pixels(side: int, colours: int, bayer: bool) -> tuple[int, ...]:
    """Camera pixels that measure each colour in a pixel of ``side`` x ``side``.

    Without a mosaic the colours are taken one after the other with all pixels; a Bayer
    mosaic has one red, two green and one blue.
    """
    return (1, 2, 1) if bayer else colours * (side * side,)


def expose(
    picture: Tensor, white: Tensor, sensor: Sensor, generator: torch.Generator | None = None
) -> Tensor:
    """The image as it is read out, in its own unit.

    Without a generator there is no noise, and the result is differentiable: rounding passes
    the gradient on as if it were not there.

    Args:
        picture: (..., C, H, W), not negative.
        white: The brightest light there can be, broadcastable to the image.
        sensor: The camera.
        generator: Generator of the noise, on the device of the image.
    """
    # White at an exposure of 1 fills every camera pixel.
    level = picture / white * sensor.exposure
    if generator is None:
        return _digitise(level, sensor) * white / sensor.exposure
    planes = [
        _read_group(plane, count, sensor, generator)
        for plane, count in zip(level.unbind(-3), sensor.camera_pixels, strict=True)
    ]
    return torch.stack(planes, -3) * white / sensor.exposure


def _read_group(level: Tensor, count: int, sensor: Sensor, generator: torch.Generator) -> Tensor:
    total = torch.zeros_like(level)
    mean = level.clamp_min(0) * sensor.full_well_electrons
    for _ in range(count):
        electrons = _count_electrons(mean, sensor.read_noise_electrons, generator)
        total += _digitise(electrons / sensor.full_well_electrons, sensor)
    return total / count


def _count_electrons(mean: Tensor, read_noise: float, generator: torch.Generator) -> Tensor:
    """Electrons with shot and read noise.

    Where a pixel is bright both are one normal draw, many times quicker than Poisson's.
    """
    draw = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
    dim = mean < FEW
    shot = torch.poisson(mean[dim], generator=generator)
    electrons = (mean + read_noise**2).sqrt_().mul_(draw).add_(mean)
    electrons[dim] = shot + read_noise * draw[dim]
    return electrons


def _digitise(level: Tensor, sensor: Sensor) -> Tensor:
    level = level.clamp(0, 1)
    if sensor.bit_depth is None:
        return level
    steps = 2**sensor.bit_depth - 1
    return level + ((level * steps).round() / steps - level).detach()
