"""The kernels in electronics: an ordinary image, then a digital convolution of it."""

from __future__ import annotations

from typing import NoReturn

import torch
from torch import Tensor, nn

from hybridonn import spec
from hybridonn.core.errors import OpticsError
from hybridonn.networks.frontends.convolution import BranchConvolution
from hybridonn.networks.frontends.frontend import Frontend
from hybridonn.networks.frontends.ideal_convolution import build_ideal
from hybridonn.networks.frontends.lens import LensFrontend
from hybridonn.optics.fabrication.chip_errors import ChipErrors
from hybridonn.optics.layout.sites import Layout
from hybridonn.optics.sensor import Sensor, expose


class DigitalLayer(Frontend):
    """A digital convolution in place of the optics, with as many kernels of the same size.

    The network behind it is the same, so that an all-digital student stands beside the optical
    one: a lens takes the image, and electronics compute everything. Ideal optics compute the same
    function, without its multiply-accumulates; designed optics and the camera's noise behind
    each kernel are what the two differ by.

    Args:
        layers: The convolution, or one a branch, as ideal optics have it.
        channels: Channels C of a scene.
    """

    exposures = 1  # a lens takes one image

    def __init__(self, layers: Frontend, channels: int) -> None:
        super().__init__()
        self.layers: Frontend = layers
        self.kernels, self.channels = layers.kernels, channels

    def signed_kernels(self) -> Tensor:
        """The digital kernels, (K, C, k, k)."""
        return self.layers.signed_kernels()

    def sensor_kernels(self) -> Tensor:
        """The same in pixels of the scene, (K, C, n, n)."""
        return self.layers.sensor_kernels()

    def forward(self, scene: Tensor) -> tuple[Tensor, ...]:
        """Convolve: (B, C, H, W) to one (B, K_b, H', W') a branch."""
        return self.layers(scene)

    def convolutions(self) -> tuple[BranchConvolution, ...]:
        """The convolutions themselves."""
        return self.layers.convolutions()

    def digital(self, image_shape: tuple[int, int, int]) -> nn.Module:
        """The convolutions themselves."""
        return self.layers.digital(image_shape)

    def divide(self, backend: nn.Module) -> tuple[Frontend, nn.Module]:
        """A plain lens, and the convolution with the backend behind it."""
        return LensFrontend(self.channels), ConvolvedBackend(self.layers, backend)

    @torch.no_grad()
    def capture(
        self,
        scene: Tensor,
        sensor: Sensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, ...]:
        """Both signs of the kernels on the image that a camera takes behind a lens.

        Noise, saturation and rounding are those of the image, before any convolution.

        Args:
            scene: (B, C, H, W).
            sensor: The camera behind the lens; None: a perfect one.
            generator: Generator of the camera's noise; None: no noise.

        Returns:
            One (B, K_b, 2, H', W') a branch.
        """
        if sensor is not None:
            scene = expose(scene, scene.new_ones(()), sensor, generator)
        return self.layers.capture(scene)

    def light(self, scene: Tensor) -> Tensor:
        """Electronics compute the kernels: no light of them falls on the sensor."""
        self._refuse("no light of its kernels can be captured")

    def fabricate(self, errors: ChipErrors, layout: Layout) -> Frontend:
        """Electronics compute the kernels: there is no chip."""
        self._refuse("no chip of it can be simulated")

    def _refuse(self, what: str) -> NoReturn:
        raise OpticsError(
            f"the first layer is a {type(self).__name__}, which electronics compute, so that "
            f"{what}; set student.optics to trained for optical kernels"
        )


class ConvolvedBackend(nn.Module):
    """A digital convolution of the image, then a backend: all that electronics compute.

    Args:
        layers: The convolution, or one a branch.
        backend: From its branches to the outputs of the task.
    """

    def __init__(self, layers: nn.Module, backend: nn.Module) -> None:
        super().__init__()
        self.layers, self.backend = layers, backend

    def forward(self, branches: tuple[Tensor]) -> Tensor:
        """Answer: one branch, the image (B, C, H, W), to the outputs of the task."""
        (image,) = branches
        return self.backend(self.layers(image))


def build_digital_layer(
    student: spec.Student, image_shape: tuple[int, int, int], optics: spec.Optics | None = None
) -> Frontend:
    """The digital convolution of a student, or one a branch; it begins as ideal optics do.

    Args:
        student: What the spec says of it.
        image_shape: (C, H, W) of a scene.
        optics: It reads nothing of the optics.
    """
    return DigitalLayer(build_ideal(student, image_shape, optics), image_shape[0])
