"""A 4f system as it was made: frozen, behind the same interface as the one that trains."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import torch
from torch import Tensor

from hybridonn.core.errors import OpticsError
from hybridonn.networks.frontends.digital import DigitalCoherentOptics
from hybridonn.networks.frontends.frontend import Frontend, split_signs
from hybridonn.optics.fabrication.fabricated_four_f import CoherentOptics, take_pictures
from hybridonn.optics.sensor import Sensor, expose

# Radiance below which a scene counts as dark: the derivative of the square root at 0 is infinite.
DARKNESS = 1e-12


class FabricatedFourF(Frontend):
    """The coherent modes of two masks a kernel, and the gains; nothing of it trains.

    Args:
        optics: What was made.
        gain: Gain of each kernel, (K,).
        shape: (H, W) of the scenes.
        stride: Stride of the sensor, in pixels of the scene.
    """

    gain: Tensor
    signs: Tensor
    transfers: Tensor
    linear: Tensor
    curve: Tensor | None

    def __init__(
        self, optics: CoherentOptics, gain: Tensor, shape: tuple[int, int], stride: int = 1
    ) -> None:
        super().__init__()
        self.kernels, self.shape, self.stride = len(gain), shape, stride
        self.register_buffer("gain", gain.detach().clone())
        # Gains of the electronics for the two images of each kernel, (K, 2).
        self.register_buffer("signs", torch.ones(len(gain), 2), persistent=False)
        self.register_buffer("transfers", optics.transfers.detach().clone())
        self.register_buffer("linear", optics.linearise().detach().clone())
        self.register_buffer("curve", None if optics.curve is None else optics.curve.clone())

    def signed_kernels(self) -> Tensor:
        """What the optics do to small changes of an evenly lit scene, (K, C, k, k), signed.

        As in the 4f system that trains, in the middle of the scene.
        """
        signed = self.linear[:, 0] - self.linear[:, 1]
        return self.gain[:, None, None, None] * signed.flip(-2, -1)

    def forward(self, scene: Tensor) -> tuple[Tensor]:
        """Take both images of every kernel and subtract: (B, C, H, W) to one (B, K, H', W').

        Raises:
            OpticsError: The scene has other colours or another size than the system is for.
        """
        pairs = self._see(scene) * self.signs[..., None, None]
        return (self.gain[:, None, None] * (pairs[:, :, 0] - pairs[:, :, 1]),)

    @torch.no_grad()
    def capture(
        self,
        scene: Tensor,
        sensor: Sensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor]:
        """Both masks' images, times the gain of their kernel: one branch, (B, K, 2, H', W')."""
        (seen,) = capture_pairs(self._see, scene, self.gain, sensor, generator)
        return (seen * self.signs[..., None, None],)

    @torch.no_grad()
    def light(self, scene: Tensor) -> Tensor:
        """Intensities behind both masks of each kernel, (B, K, 2, H', W')."""
        return self._see(scene)

    def electronic_gains(self) -> Tensor:
        """The gain of each kernel times that of its signs, (K, 2)."""
        return self.gain[:, None] * self.signs

    def digital(self, image_shape: tuple[int, int, int]) -> DigitalCoherentOptics:
        """Two real convolutions a mask."""
        gains = self.gain[:, None] * self.signs
        return DigitalCoherentOptics(
            self.transfers, gains, image_shape, self.stride, DARKNESS, self.curve
        )

    def with_gains(self, gains: Tensor) -> FabricatedFourF:
        """The same optics behind other gains of the two signs, (K, 2)."""
        made = deepcopy(self)
        made.signs = self.signs * gains
        return made

    def stored(self) -> dict[str, Tensor]:
        """``psf``, (K, 2, C, k, k), the two parts of the linearised kernels, and ``gains``."""
        parts = torch.stack(split_signs(self.signed_kernels()), 1).flip(-1, -2)
        return {"psf": parts, "gains": parts.new_ones(parts.shape[:3])}

    def _see(self, scene: Tensor) -> Tensor:
        amplitude = read_amplitude(scene, self.transfers.shape[3], self.shape)
        pictures = take_pictures(amplitude, self.transfers, self.curve)
        return pictures[..., :: self.stride, :: self.stride]


def read_amplitude(scene: Tensor, colours: int, shape: tuple[int, int]) -> Tensor:
    """The amplitude of a scene's light, sqrt(radiance), (B, C, H, W).

    Raises:
        OpticsError: The scene has other colours or another size than the system is for.
    """
    if tuple(scene.shape[1:]) != (colours, *shape):
        raise OpticsError(
            f"the scene has the shape {tuple(scene.shape)}; this 4f system takes (B, "
            f"{colours}, {shape[0]}, {shape[1]})"
        )
    return scene.clamp_min(DARKNESS).sqrt()


def capture_pairs(
    see: Callable[[Tensor], Tensor],
    scene: Tensor,
    gain: Tensor,
    sensor: Sensor | None,
    generator: torch.Generator | None,
) -> tuple[Tensor]:
    """What the camera reads out behind both masks of each kernel, times its gain.

    Args:
        see: Intensities behind the masks, (B, C, H, W) to (B, K, 2, H', W').
        scene: (B, C, H, W).
        gain: (K,).
        sensor: The camera; None: a perfect one.
        generator: Generator of the camera's noise; None: none.
    """
    pictures = see(scene)
    if sensor is not None:
        # A white scene fills the well at the brightest pixel behind the brightest mask. The arms
        # of all colours end on one sensor: to it an image is one plane.
        white = see(torch.ones_like(scene[:1])).max().clamp_min(torch.finfo(scene.dtype).tiny)
        one = replace(sensor, camera_pixels=sensor.camera_pixels[:1])
        planes = pictures.unsqueeze(-3)
        pictures = expose(planes, white, one, generator).squeeze(-3)
    return (gain[:, None, None, None] * pictures,)
