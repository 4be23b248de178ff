"""Optics in real arithmetic, which every runtime has: their digital twins on a device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hybridonn.networks.frontends.convolution import BranchConvolution


class DigitalConvolutions(nn.Module):
    """Branches that are convolutions of the scene, with what never meets a scene left out.

    Args:
        convolutions: What each branch does.
        image_shape: (C, H, W) of a scene.
    """

    def __init__(
        self, convolutions: Sequence[BranchConvolution], image_shape: tuple[int, int, int]
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList(_Cropped(one, image_shape) for one in convolutions)

    def forward(self, scene: Tensor) -> tuple[Tensor, ...]:
        """Take the images: (B, C, H, W) to one (B, K_b, H', W') a branch."""
        return tuple(branch(scene) for branch in self.branches)


class _Cropped(nn.Module):
    """A convolution whose kernels are as large as the scene lets them matter."""

    weight: Tensor

    def __init__(self, branch: BranchConvolution, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        size, (rows, columns) = branch.weight.shape[-1], image_shape[1:]
        above, beside = (_count_unmet(branch, size, side) for side in (rows, columns))
        weight = branch.weight[..., above[0] : size - above[1], beside[0] : size - beside[1]]
        self.register_buffer("weight", weight.detach().clone())
        self.stride = branch.stride
        self.padding = [branch.padding - unmet for unmet in (*beside, *above)]

    def forward(self, scene: Tensor) -> Tensor:
        return F.conv2d(F.pad(scene, self.padding), self.weight, stride=self.stride)


def _count_unmet(branch: BranchConvolution, size: int, side: int) -> tuple[int, int]:
    """Rows of a kernel, before and behind, that lie outside of a scene at every place."""
    last = (side + 2 * branch.padding - size) // branch.stride * branch.stride
    before = max(0, branch.padding - last)
    return before, max(0, size - branch.padding - side)


class DigitalCoherentOptics(nn.Module):
    """A coherent 4f system as two real convolutions a mask: ``|h * a|^2``, a = sqrt(radiance).

    Args:
        transfers: Transfer functions of the masks, zero frequency first, of grids on which no
            image wraps round, (J, K, 2, C, Hp, Wp) complex: the images of J modes add up.
        gains: Gain of the positive and the negative image of each kernel, (K, 2).
        image_shape: (C, H, W) of a scene.
        stride: Stride of the sensor, in pixels of the scene.
        darkness: Radiance below which a scene counts as dark.
        curve: Phase of the scene's amplitude, (C, H, W) complex; None: none.
    """

    weight: Tensor
    sums: Tensor
    phases: Tensor

    def __init__(
        self,
        transfers: Tensor,
        gains: Tensor,
        image_shape: tuple[int, int, int],
        stride: int,
        darkness: float,
        curve: Tensor | None = None,
    ) -> None:
        super().__init__()
        colours, rows, columns = image_shape
        self.colours, self.stride, self.darkness = colours, stride, darkness
        self.margins = [columns - 1, columns - 1, rows - 1, rows - 1]
        responses = _respond(transfers.detach(), rows, columns)
        light = torch.ones(image_shape) if curve is None else curve
        self.parts = 1 if curve is None else 2
        real, imaginary = responses.real, responses.imag
        # (A + i B)(a + i b): the real part of the field sees A and -B, the imaginary one B and A.
        seen = [torch.stack([real, imaginary], 3), torch.stack([-imaginary, real], 3)]
        weight = torch.stack(seen[: self.parts], 5)  # J, K, 2, field's part, C, light's part, ...
        weight = weight.permute(4, 0, 1, 2, 3, 5, 6, 7).flatten(0, 4).flip(-1, -2)
        self.register_buffer("weight", weight.to(transfers.real.dtype))
        phases = torch.view_as_real(light.to(transfers.dtype))[..., : self.parts]
        self.register_buffer("phases", phases.permute(0, 3, 1, 2).flatten(0, 1).clone())
        self.register_buffer("sums", _sum_signs(gains.detach(), len(transfers), colours))

    def forward(self, scene: Tensor) -> tuple[Tensor, ...]:
        """Take the images and subtract them: (B, C, H, W) to one branch, (B, K, H', W')."""
        amplitude = scene.clamp_min(self.darkness).sqrt()
        light = amplitude.repeat_interleave(self.parts, 1) * self.phases
        field = F.conv2d(
            F.pad(light, self.margins), self.weight, stride=self.stride, groups=self.colours
        )
        return (F.conv2d(field * field, self.sums),)


def _respond(transfers: Tensor, rows: int, columns: int) -> Tensor:
    """Amplitude responses, (..., 2 rows - 1, 2 columns - 1) complex, the distance 0 in the middle.

    Args:
        transfers: (..., Hp, Wp), of responses that were rolled so that 0 comes first.
        rows: Pixels of a scene from top to bottom.
        columns: Pixels from side to side.
    """
    responses = torch.fft.ifft2(transfers.to(torch.complex128))
    rolled = responses.roll((rows - 1, columns - 1), (-2, -1))
    return rolled[..., : 2 * rows - 1, : 2 * columns - 1]


def _sum_signs(gains: Tensor, modes: int, colours: int) -> Tensor:
    """The sum of squared parts of fields for each kernel, (K, C J K 2 2, 1, 1)."""
    kernels = len(gains)
    signed = gains * gains.new_tensor([1.0, -1.0])
    sums = torch.diag_embed(signed.mT).permute(1, 2, 0)  # K, K, 2
    sums = sums[:, None, None, :, :, None].expand(kernels, colours, modes, kernels, 2, 2)
    return cast(Tensor, sums.reshape(kernels, -1, 1, 1).clone())
