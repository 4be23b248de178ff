"""One up-convolution: one answer a pixel."""

from __future__ import annotations

from torch import Tensor, nn

from hybridonn.networks.backends.layers import Normalisation, rectify


class UpsamplingBackend(nn.Sequential):
    """Offset, ReLU, and one up-convolution: the head of the random-kernel systems.

    The up-convolution sees 3 x 3 pixels of the sensor around each pixel that it makes.
    """

    def __init__(
        self,
        kernels: int,
        stride: int,
        classes: int,
        normalisation: Normalisation,
        two_sided: bool = False,
    ) -> None:
        inputs = kernels * (1 + two_sided)
        super().__init__(
            *rectify(kernels, normalisation, two_sided),
            nn.ConvTranspose2d(inputs, classes, 3 * stride, stride, padding=stride),
        )

    def forward(self, branches: tuple[Tensor]) -> Tensor:
        """Answer each pixel: one branch, (B, K, H / s, W / s), to (B, classes, H, W)."""
        (features,) = branches
        return super().forward(features)
