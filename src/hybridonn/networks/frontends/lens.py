"""A plain lens: the camera sees the scene, and all computing is left to the electronics."""

from __future__ import annotations

import torch
from torch import Tensor

from hybridonn import spec
from hybridonn.core.errors import SpecError
from hybridonn.networks.frontends.binned import bin_pixels
from hybridonn.networks.frontends.convolution import BranchConvolution
from hybridonn.networks.frontends.frontend import Frontend
from hybridonn.networks.frontends.parallel import ParallelFrontend
from hybridonn.optics.sensor import Sensor, expose


class LensFrontend(Frontend):
    """A sharp image of each channel: kernel k is one bright pixel in channel k, nothing trains.

    What designed optics buy is told by the same sensor, pooling and backend behind this one.
    Diffraction and aberrations are left out, as in ideal kernels.

    Args:
        channels: Channels C of a scene, which are as many kernels.
        kernel_size: Side k of the kernels, odd; all their pixels but the central one are dark.
        stride: Pixels of the scene, along one side, in a pixel of the feature map.
    """

    deltas: Tensor
    exposures = 1  # darkness is not read out

    def __init__(self, channels: int, kernel_size: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.kernels = channels
        self.stride = stride
        deltas = torch.zeros(channels, channels, kernel_size, kernel_size)
        deltas[..., kernel_size // 2, kernel_size // 2] = torch.eye(channels)
        self.register_buffer("deltas", deltas, persistent=False)

    def signed_kernels(self) -> Tensor:
        """The central pixel of kernel k in channel k, (C, C, k, k)."""
        return self.deltas

    def forward(self, scene: Tensor) -> tuple[Tensor]:
        """Take every so manieth pixel: (B, C, H, W) to one branch, (B, C, H', W')."""
        return (scene[:, :, :: self.stride, :: self.stride],)

    def convolutions(self) -> tuple[BranchConvolution]:
        """The convolution with the bright pixels."""
        return (BranchConvolution(self.deltas, self.stride, self.deltas.shape[-1] // 2),)

    @torch.no_grad()
    def capture(
        self,
        scene: Tensor,
        sensor: Sensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor]:
        """The image, and darkness as the negative sign: one branch, (B, C, 2, H', W').

        A lens takes one image: the darkness is not read out and has no noise.
        """
        (image,) = self(scene)
        if sensor is not None:
            image = expose(image, image.new_ones(()), sensor, generator)
        return (torch.stack((image, torch.zeros_like(image)), 2),)

    def light(self, scene: Tensor) -> Tensor:
        """The image, and darkness as the negative sign, (B, C, 2, H', W')."""
        (image,) = self(scene)
        return torch.stack((image, torch.zeros_like(image)), 2)


class ParallelLens(ParallelFrontend):
    """Lenses side by side, one a branch, each with its own binning of the camera's pixels."""

    exposures = 1  # as of each lens

    @torch.no_grad()
    def capture(
        self,
        scene: Tensor,
        sensor: Sensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, ...]:
        """The image of each lens, and darkness: one (B, C, 2, H / b, W / b) a branch.

        The camera's noise is that of its own pixels, so that binning lowers it.
        """
        taken = [
            (both, size)
            for lens, size in self.pairs()
            for both in lens.capture(scene, sensor, generator)
        ]
        return tuple(
            bin_pixels(both.flatten(1, 2), size).unflatten(1, (-1, 2)) for both, size in taken
        )


def build_lens(
    student: spec.Student, image_shape: tuple[int, int, int], optics: spec.Optics | None = None
) -> Frontend:
    """The lens of a student, or one a branch, each with the pixels of that branch.

    Args:
        student: What the spec says of it.
        image_shape: (C, H, W) of a scene.
        optics: A lens reads nothing of it.

    Raises:
        SpecError: The student, or a branch, has not as many kernels as the images have channels.
    """
    channels = image_shape[0]
    stated = {
        f"student.branches.{index}.kernels": branch.kernels
        for index, branch in enumerate(student.branches)
    } or {"student.kernels": student.kernels}
    for key, kernels in stated.items():
        if kernels != channels:
            raise SpecError(
                f"optics.frontend is lens, which has one kernel for each of the {channels} "
                f"channel{'s' * (channels > 1)} of the images, but {key} is {kernels}; set {key} "
                f"to {channels}"
            )
    if not student.branches:
        return LensFrontend(channels, student.kernel_size, student.stride)
    parts = [LensFrontend(channels, branch.kernel_size) for branch in student.branches]
    return ParallelLens(parts, [branch.binning for branch in student.branches])
