"""Optics as they were measured or simulated: frozen, behind the same interface as ideal ones."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from hybridonn.networks.frontends.convolution import BranchConvolution
from hybridonn.networks.frontends.correlation import DIRECT_PICTURES, correlate
from hybridonn.networks.frontends.frontend import Frontend, refuse_idle_errors
from hybridonn.optics.fabrication.chip_errors import ChipErrors
from hybridonn.optics.fabrication.kernel_errors import ChipPsfs, fabricate
from hybridonn.optics.layout.sites import Layout
from hybridonn.optics.sensor import Sensor, expose


class MeasuredFrontend(Frontend):
    """Positive and negative point spread functions and gains; nothing of it trains.

    The image behind sub-optic (k, s) in colour c is ``scene_c conv psf_ksc``; the
    electronics form ``sum_c gain_k+c picture_k+c - gain_k-c picture_k-c``. The sensor is as
    large as the scene and sees darkness around it. Without camera noise all this is one
    convolution with the signed kernels.

    ``torch`` correlates: a kernel is its point spread function turned by 180 degrees.

    Args:
        psfs: (K, 2, C, P, P), P odd, not negative: positive then negative.
        gains: (K, 2, C); None: one.
        stride: Pixels of the scene a pixel of the feature map.
    """

    def __init__(
        self,
        psfs: Tensor,
        gains: Tensor | None = None,
        stride: int = 1,
    ) -> None:
        super().__init__()
        self.kernels = psfs.shape[0]
        self.stride = stride
        self.register_buffer("psfs", psfs.detach().clone())
        gains = psfs.new_ones(psfs.shape[:3]) if gains is None else gains
        self.register_buffer("gains", gains.detach().clone())

    psfs: Tensor
    gains: Tensor

    def signed_kernels(self) -> Tensor:
        """Kernels that optics and subtraction realise together, (K, C, P, P)."""
        positive, negative = (self.psfs * self.gains[..., None, None]).unbind(1)
        return (positive - negative).flip(-1, -2)

    def pictures(self, scene: Tensor) -> Tensor:
        """What the camera sees behind each sub-optic without noise, (B, K, 2, C, H', W')."""
        kernels, _, colours, size, _ = self.psfs.shape
        weight = self.psfs.flip(-1, -2).flatten(0, 1).transpose(0, 1).reshape(-1, 1, size, size)
        if size > DIRECT_PICTURES:
            planes = zip(scene.split(1, 1), weight.chunk(colours), strict=True)
            seen = torch.cat([correlate(one, own, self.stride) for one, own in planes], 1)
        else:
            seen = F.conv2d(scene, weight, stride=self.stride, padding=size // 2, groups=colours)
        seen = seen.unflatten(1, (colours, kernels, 2))
        return seen.permute(0, 2, 3, 1, 4, 5)

    @torch.no_grad()
    def light(self, scene: Tensor) -> Tensor:
        """The images of all colours together, (B, K, 2, H', W')."""
        return self.pictures(scene).sum(3)

    def electronic_gains(self) -> Tensor:
        """The gains, (K, 2); of several colours their mean, weighed by the colours' light."""
        share = self.psfs.sum((-1, -2))
        total = share.sum(-1).clamp_min(torch.finfo(share.dtype).tiny)
        return (self.gains * share).sum(-1) / total

    def forward(self, scene: Tensor) -> tuple[Tensor]:
        """Take the image without noise: (B, C, H, W) to one branch, (B, K, H', W')."""
        kernels = self.signed_kernels()
        if kernels.shape[-1] > DIRECT_PICTURES:
            return (correlate(scene, kernels, self.stride),)
        return (F.conv2d(scene, kernels, stride=self.stride, padding=kernels.shape[-1] // 2),)

    def convolutions(self) -> tuple[BranchConvolution]:
        """One convolution with the signed kernels."""
        kernels = self.signed_kernels()
        return (BranchConvolution(kernels, self.stride, kernels.shape[-1] // 2),)

    def with_gains(self, gains: Tensor) -> MeasuredFrontend:
        """The same point spread functions behind other gains of the two signs, (K, 2)."""
        return MeasuredFrontend(self.psfs, self.gains * gains[..., None], self.stride)

    def stored(self) -> dict[str, Tensor]:
        """``psf``, (K, 2, C, P, P), and ``gains``, (K, 2, C)."""
        return {"psf": self.psfs, "gains": self.gains}

    @torch.no_grad()
    def capture(
        self,
        scene: Tensor,
        sensor: Sensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor]:
        """Both sub-optics' images, colours weighed and summed: one branch, (B, K, 2, H', W')."""
        pictures = self.pictures(scene)
        if sensor is not None:
            # A white scene fills the well behind the brightest sub-optic and colour.
            white = self.psfs.sum((-1, -2)).max().clamp_min(torch.finfo(pictures.dtype).tiny)
            pictures = expose(pictures, white, sensor, generator)
        return (torch.einsum("bkschw,ksc->bkshw", pictures, self.gains),)

    @torch.no_grad()
    def fabricate(self, errors: ChipErrors, layout: Layout) -> MeasuredFrontend:
        """These point spread functions with the errors of whole sub-optics, and the same gains.

        Raises:
            OpticsError: An error of pillars is not zero: their effect is not known here.
        """
        refuse_idle_errors(self, errors)
        made = fabricate(ChipPsfs(self.psfs, self.gains, layout), errors)
        return MeasuredFrontend(made.psfs, made.gains, self.stride)
