"""Several frontends side by side, each at its own resolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from hybridonn.networks.frontends.binned import BinnedFrontend, bin_pixels
from hybridonn.networks.frontends.chip_kernels import fabricate_kernels, frame, spread, turn_kernels
from hybridonn.networks.frontends.convolution import BranchConvolution
from hybridonn.networks.frontends.frontend import Frontend, refuse_idle_errors
from hybridonn.networks.frontends.measured import MeasuredFrontend
from hybridonn.optics.fabrication.chip_errors import ChipErrors
from hybridonn.optics.layout.sites import Layout
from hybridonn.optics.sensor import Sensor


class ParallelFrontend(Frontend):
    """Several frontends side by side that look at the same scene, each at its own resolution.

    A branch with binning b sums b x b pixels of its sensor into one and has a
    point spread function that is b times as large: the weights of its kernel w
    lie b pixels apart, each in one pixel, since the sum over the sensor's
    pixels is all the blur that is wanted. Both operations are linear and the
    same at every place, so that their order does not matter: here the mean of
    b x b pixels of the scene is taken first and then convolved with w. So a
    branch is an ideal frontend of its own and knows nothing of binning; what
    light does, :class:`BinnedFrontend` takes in its own order.

    Args:
        branches: The frontends.
        binnings: Pixels of the scene, along one side, in a pixel of each branch.
    """

    def __init__(self, branches: Sequence[Frontend], binnings: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.binnings = tuple(binnings)
        self.kernels = sum(branch.kernels for branch in branches)

    def pairs(self) -> list[tuple[Frontend, int]]:
        """Each branch with its binning."""
        branches = cast("list[Frontend]", list(self.branches))
        return list(zip(branches, self.binnings, strict=True))

    def signed_kernels(self) -> Tensor:
        """All branches' kernels, (K, C, k, k); smaller ones lie in the middle of zeros.

        One number is one pixel of its own branch's sensor, ``binning`` pixels of the scene.
        """
        found = [branch.signed_kernels() for branch, _ in self.pairs()]
        side = max(kernels.shape[-1] for kernels in found)
        return torch.cat([frame(kernels, side) for kernels in found])

    def sensor_kernels(self) -> Tensor:
        """All branches' kernels on the sensor, (K, C, n, n), the smaller in the middle of zeros."""
        found = [spread(branch.signed_kernels(), size) for branch, size in self.pairs()]
        side = max(kernels.shape[-1] for kernels in found)
        return torch.cat([frame(kernels, side) for kernels in found])

    def forward(self, scene: Tensor) -> tuple[Tensor, ...]:
        """Take the images: (B, C, H, W) to one (B, K_b, H / b, W / b) a branch."""
        seen = [branch(bin_pixels(scene, size)) for branch, size in self.pairs()]
        return tuple(one for features in seen for one in features)

    def convolutions(self) -> tuple[BranchConvolution, ...]:
        """One convolution a branch, whose stride is its binning."""
        return tuple(
            one.see_binned(size) for branch, size in self.pairs() for one in branch.convolutions()
        )

    def digital(self, image_shape: tuple[int, int, int]) -> nn.Module:
        """The convolutions of averaged scenes themselves, where all branches are convolutions."""
        colours, rows, columns = image_shape
        pairs = self.pairs()
        same = all(one.digital((colours, rows // n, columns // n)) is one for one, n in pairs)
        return self if same else super().digital(image_shape)

    def measure(self) -> BinnedFrontend:
        """The same optics as the point spread functions of one chip, frozen."""
        return self._put_together(turn_kernels(self.sensor_kernels().detach()))

    @torch.no_grad()
    def fabricate(self, errors: ChipErrors, layout: Layout) -> BinnedFrontend:
        """One chip of the kernels of all branches, with the errors of whole sub-optics.

        Raises:
            OpticsError: An error of pillars is not zero: ideal kernels have none.
        """
        refuse_idle_errors(self, errors)
        branches = [(branch.signed_kernels(), size) for branch, size in self.pairs()]
        return self._put_together(fabricate_kernels(branches, errors, layout).psfs)

    def light(self, scene: Tensor) -> Tensor:
        """The light behind both sub-optics of each kernel, (B, K, 2, H', W')."""
        return self.measure().light(scene)

    def capture(
        self,
        scene: Tensor,
        sensor: Sensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, ...]:
        """Both signs as the camera sees them, then binned: one (B, K_b, 2, H / b, W / b) a branch.

        The camera takes its own pixels; binning lowers its noise.
        """
        return self.measure().capture(scene, sensor, generator)

    def read_out(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """The means of b x b camera pixels: (B, K, 2, H, W) to one (B, K_b, 2, H / b, W / b)."""
        return self.measure().read_out(pictures)

    def _put_together(self, psfs: Tensor) -> BinnedFrontend:
        counts = [branch.kernels for branch, _ in self.pairs()]
        return BinnedFrontend(MeasuredFrontend(psfs), counts, self.binnings)
