"""Optics behind a camera with few, large pixels: the read-out is what an image costs."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from hybridonn.networks.frontends.frontend import Frontend, split_signs
from hybridonn.optics.sensor import Sensor, expose


class CoarseReadOut(Frontend):
    """Kernels whose images are read out on p x p camera pixels each, differentiable.

    Each camera pixel takes the mean light of its share of an image, so that nothing nonlinear
    happens before the read-out; electronics then subtract the two signs. Rounding and saturation
    act whenever it is used, also in training, where the gradient passes the rounding as if it were
    not there; noise acts where there is a generator. A sub-optic without light in a colour is not
    read out in it. The camera is exposed as in
    :meth:`hybridonn.networks.frontends.measured.MeasuredFrontend.capture`: a white scene fills the
    pixels behind the brightest sub-optic and colour.

    Args:
        optics: Optics that are a convolution of the scene, of one resolution and stride 1.
        side: Camera pixels p along a side of a picture, at most those of the scene.
        sensor: The camera, with one pixel for each colour.
    """

    def __init__(self, optics: Frontend, side: int, sensor: Sensor) -> None:
        super().__init__()
        self.optics, self.kernels = optics, optics.kernels
        self.side, self.sensor = side, sensor
        self.generator: torch.Generator | None = None

    def signed_kernels(self) -> Tensor:
        """The kernels that the optics realise, (K, C, k, k)."""
        return self.optics.signed_kernels()

    def count_numbers(self) -> int:
        """Numbers that the camera gives of one image: p x p of each sub-optic and colour."""
        lit = _split(self.signed_kernels().detach()).sum((-1, -2)) > 0
        return int(lit.sum()) * self.side**2

    def forward(self, scene: Tensor) -> tuple[Tensor]:
        """Take all images and subtract: (B, C, H, W) to one branch, (B, K, p, p)."""
        parts = _split(self.signed_kernels())
        light = parts.detach().sum((-1, -2))
        white = light.max().clamp_min(torch.finfo(light.dtype).tiny)
        taken = expose(self._integrate(scene, parts), white, self.sensor, self.generator)
        pictures = (taken * (light > 0)[..., None, None]).sum(3)
        return (pictures[:, :, 0] - pictures[:, :, 1],)

    def _integrate(self, scene: Tensor, parts: Tensor) -> Tensor:
        """The mean light on each camera pixel, (B, K, 2, C, p, p)."""
        kernels, signs, colours, size, _ = parts.shape
        weight = parts.permute(2, 0, 1, 3, 4).reshape(-1, 1, size, size)
        seen = F.conv2d(scene, weight, padding=size // 2, groups=colours)
        seen = F.adaptive_avg_pool2d(seen, self.side)
        return seen.unflatten(1, (colours, kernels, signs)).permute(0, 2, 3, 1, 4, 5)


def _split(kernels: Tensor) -> Tensor:
    """Positive and negative part, (K, 2, C, k, k)."""
    return torch.stack(split_signs(kernels), 1)
