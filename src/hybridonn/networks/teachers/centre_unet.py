"""A U-Net whose way up ends at a quarter of the resolution: teacher of detection."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from hybridonn.networks.centre_head import CentreHead
from hybridonn.networks.teachers.unet import Doubled

CELL_LEVEL = 2  # halvings from the scene to cells of 4 x 4 pixels


class CentreUNet(nn.Module):
    """U-Net (Ronneberger, Fischer and Brox 2015) with a head of centres for cells of 4 x 4 pixels.

    A convolution of stride 2 takes the place of full resolution, which a head of coarse cells does
    not ask for and which costs most; the levels of the U-Net begin at the cells.

    Args:
        image_shape: (C, H, W), both sides multiples of 2^depth.
        classes: Number of classes.
        width: Channels at half the resolution; they double with each step down, up to ``widest``.
        depth: How often the resolution is halved, 3 or more.
        widest: The most channels.

    Raises:
        ValueError: The depth is too small, or the sides cannot be halved so often.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        classes: int,
        width: int = 24,
        depth: int = 5,
        widest: int = 256,
    ) -> None:
        super().__init__()
        channels, height, rows = image_shape
        if depth <= CELL_LEVEL:
            raise ValueError(f"depth is {depth}; it must be {CELL_LEVEL + 1} or more")
        if height % 2**depth or rows % 2**depth:
            raise ValueError(
                f"images of {height} x {rows} cannot be halved {depth} times; "
                f"set data.size_pixels to a multiple of {2**depth}, or a smaller depth"
            )
        widths = [min(widest, width * 2**level) for level in range(depth)]
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.pool = nn.MaxPool2d(2)
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(Doubled(above, here) for above, here in pairs)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(below, here, 2, 2) for here, below in reversed(pairs[1:])
        )
        self.join = nn.ModuleList(Doubled(2 * here, here) for here, _ in reversed(pairs[1:]))
        self.head = CentreHead(widths[1], widths[1], classes)

    def forward(self, scene: Tensor) -> Tensor:
        """Detect: (B, C, H, W) to (B, classes + 4, H / 4, W / 4)."""
        kept: list[Tensor] = []
        features = self.stem(scene)
        for unit in self.down:
            features = unit(self.pool(features))
            kept.append(features)
        features = kept.pop()
        for up, join in zip(self.up, self.join, strict=True):
            features = join(torch.cat([up(features), kept.pop()], 1))
        return self.head(features)
