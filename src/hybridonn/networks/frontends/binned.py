"""One chip whose kernels are read out at several resolutions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from hybridonn.networks.frontends.convolution import BranchConvolution
from hybridonn.networks.frontends.frontend import Frontend
from hybridonn.optics.fabrication.chip_errors import ChipErrors
from hybridonn.optics.layout.sites import Layout
from hybridonn.optics.sensor import Sensor


class BinnedFrontend(Frontend):
    """One chip whose kernels are read out at several resolutions, as light and camera do it.

    All images are taken at the pixels of the scene; then the camera's pixels are summed
    by branch, b x b into one, and divided by their number. With the kernels of
    ``ParallelFrontend.sensor_kernels`` this is what that frontend computes.

    Args:
        frontend: Frontend of all kernels, at a stride of 1.
        kernels: How many of them each branch has, in their order.
        binnings: Pixels of the scene, along one side, in a pixel of each branch.
    """

    def __init__(self, frontend: Frontend, kernels: Sequence[int], binnings: Sequence[int]) -> None:
        super().__init__()
        self.frontend: Frontend = frontend
        self.kernels, self.exposures = frontend.kernels, frontend.exposures
        self.counts, self.binnings = tuple(kernels), tuple(binnings)

    def signed_kernels(self) -> Tensor:
        """Kernels that the optics realise on the sensor, in scene pixels, (K, C, n, n)."""
        return self.frontend.signed_kernels()

    def convolutions(self) -> tuple[BranchConvolution, ...]:
        """One convolution a branch, whose stride is its binning."""
        (whole,) = self.frontend.convolutions()
        pairs = zip(whole.weight.split(self.counts), self.binnings, strict=True)
        return tuple(
            BranchConvolution(own, whole.stride, whole.padding).read_binned(size)
            for own, size in pairs
        )

    def with_gains(self, gains: Tensor) -> BinnedFrontend:
        """The same optics behind other gains of the two signs, (K, 2)."""
        return BinnedFrontend(self.frontend.with_gains(gains), self.counts, self.binnings)

    def stored(self) -> dict[str, Tensor]:
        """What is stored of the optics of all kernels."""
        return self.frontend.stored()

    def fabricate(self, errors: ChipErrors, layout: Layout) -> BinnedFrontend:
        """The same kernels as a fab would return them, read out at the same resolutions."""
        return BinnedFrontend(self.frontend.fabricate(errors, layout), self.counts, self.binnings)

    def forward(self, scene: Tensor) -> tuple[Tensor, ...]:
        """Take the images: (B, C, H, W) to one (B, K_b, H / b, W / b) a branch."""
        (pictures,) = self.frontend(scene)
        pairs = zip(pictures.split(self.counts, 1), self.binnings, strict=True)
        return tuple(bin_pixels(some, size) for some, size in pairs)

    def capture(
        self,
        scene: Tensor,
        sensor: Sensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, ...]:
        """Both signs as the camera sees them, then binned: one (B, K_b, 2, H / b, W / b) a branch.

        The camera's noise is that of its own pixels, so that binning lowers it.
        """
        (seen,) = self.frontend.capture(scene, sensor, generator)
        return self.read_out(seen)

    def light(self, scene: Tensor) -> Tensor:
        """The light of all kernels before it is binned, (B, K, 2, H, W)."""
        return self.frontend.light(scene)

    def electronic_gains(self) -> Tensor:
        """Gains of all kernels, (K, 2)."""
        return self.frontend.electronic_gains()

    def read_out(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """The means of b x b camera pixels: (B, K, 2, H, W) to one (B, K_b, 2, H / b, W / b)."""
        pairs = zip(pictures.split(self.counts, 1), self.binnings, strict=True)
        return tuple(
            bin_pixels(some.flatten(1, 2), size).unflatten(1, (-1, 2)) for some, size in pairs
        )


def bin_pixels(images: Tensor, size: int) -> Tensor:
    """The mean of size x size pixels in place of them: (B, K, H, W) to (B, K, H/size, W/size)."""
    return F.avg_pool2d(images, size) if size > 1 else images
