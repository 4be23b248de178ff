"""A convolution as perfect optics would take it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from hybridonn import spec
from hybridonn.networks.frontends.chip_kernels import turn_kernels
from hybridonn.networks.frontends.convolution import BranchConvolution
from hybridonn.networks.frontends.frontend import Frontend, refuse_idle_errors
from hybridonn.networks.frontends.measured import MeasuredFrontend
from hybridonn.networks.frontends.parallel import ParallelFrontend
from hybridonn.optics.fabrication.chip_errors import ChipErrors
from hybridonn.optics.layout.sites import Layout
from hybridonn.optics.sensor import Sensor


class IdealConvolution(Frontend):
    """A convolution as perfect optics would take it.

    Light is incoherent, so each signed kernel stands for two point spread
    functions, its positive and its negative part, whose images are
    subtracted. The sum is linear: here both are taken in one convolution.
    The sensor is as large as the scene and sees darkness around it, so a
    feature map has the size of the scene, divided by the stride and rounded
    up. There is no bias: optics add none.

    ``torch`` correlates; the point spread function of a kernel is the kernel
    turned by 180 degrees.
    """

    def __init__(self, kernels: int, kernel_size: int, wavelengths: int, stride: int = 1) -> None:
        super().__init__()
        self.kernels = kernels
        self.convolution = nn.Conv2d(
            wavelengths, kernels, kernel_size, stride, padding=kernel_size // 2, bias=False
        )
        # He et al. 2015, equation 10: a ReLU follows the subtraction.
        fan_in = wavelengths * kernel_size**2
        nn.init.normal_(self.convolution.weight, std=math.sqrt(2 / fan_in))

    def signed_kernels(self) -> Tensor:
        """The kernels, (K, C, k, k)."""
        return self.convolution.weight

    def forward(self, scene: Tensor) -> tuple[Tensor]:
        """Convolve: (B, C, H, W) to one branch, (B, K, H', W')."""
        return (self.convolution(scene),)

    def digital(self, image_shape: tuple[int, int, int]) -> IdealConvolution:
        """The convolution itself."""
        return self

    def measure(self) -> MeasuredFrontend:
        """The same optics as point spread functions of two sub-optics a kernel, frozen."""
        psfs = turn_kernels(self.signed_kernels().detach())
        return MeasuredFrontend(psfs, stride=self.convolution.stride[0])

    def convolutions(self) -> tuple[BranchConvolution]:
        """The convolution itself."""
        weight, stride = self.convolution.weight, self.convolution.stride[0]
        return (BranchConvolution(weight, stride, weight.shape[-1] // 2),)

    def fabricate(self, errors: ChipErrors, layout: Layout) -> MeasuredFrontend:
        """A chip of these kernels, with the errors of whole sub-optics.

        Raises:
            OpticsError: An error of pillars is not zero: ideal kernels have none.
        """
        refuse_idle_errors(self, errors)
        return self.measure().fabricate(errors, layout)

    def light(self, scene: Tensor) -> Tensor:
        """The light behind both sub-optics of each kernel, (B, K, 2, H', W')."""
        return self.measure().light(scene)

    def capture(
        self,
        scene: Tensor,
        sensor: Sensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor]:
        """Both sub-optics' images, colours weighed and summed: one branch, (B, K, 2, H', W')."""
        return self.measure().capture(scene, sensor, generator)


def build_ideal(
    student: spec.Student, image_shape: tuple[int, int, int], optics: spec.Optics | None = None
) -> Frontend:
    """The ideal optics of a student: one convolution, or one a branch.

    Args:
        student: What the spec says of it.
        image_shape: (C, H, W) of a scene.
        optics: Ideal optics read nothing of it.
    """
    colours = image_shape[0]
    if not student.branches:
        return IdealConvolution(student.kernels, student.kernel_size, colours, student.stride)
    parts = [IdealConvolution(one.kernels, one.kernel_size, colours) for one in student.branches]
    return ParallelFrontend(parts, [branch.binning for branch in student.branches])
