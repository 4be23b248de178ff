"""U-Net and residual U-Net: teachers of segmentation."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn


class Doubled(nn.Sequential):
    """Two 3 x 3 convolutions, each with batch norm and ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        layers: list[nn.Module] = []
        for entering in (inputs, outputs):
            layers += [
                nn.Conv2d(entering, outputs, 3, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
            ]
        super().__init__(*layers)


class ResidualUnit(nn.Module):
    """The pre-activated unit of the residual U-Net (Zhang, Liu and Wang 2018, figure 1b)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for entering in (inputs, outputs):
            layers += [
                nn.BatchNorm2d(entering),
                nn.ReLU(),
                nn.Conv2d(entering, outputs, 3, padding=1, bias=False),
            ]
        self.body = nn.Sequential(*layers)
        self.short = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Add: (B, C, H, W) to (B, C', H, W)."""
        return self.short(features) + self.body(features)


class UNet(nn.Module):
    """U-Net (Ronneberger, Fischer and Brox 2015), padded so that the size stays, with batch norm.

    Args:
        image_shape: (C, H, W), both sides multiples of 2^depth.
        classes: Number of classes.
        width: Channels at full resolution; they double with each step down.
        depth: Steps down.
        residual: Units of the residual U-Net in place of doubled convolutions.

    Raises:
        ValueError: The sides cannot be halved ``depth`` times.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        classes: int,
        width: int = 32,
        depth: int = 4,
        residual: bool = False,
    ) -> None:
        super().__init__()
        channels, height, rows = image_shape
        if depth > min(height, rows):
            raise ValueError(
                f"images of {height} x {rows} cannot be halved {depth} times; set a smaller depth"
            )
        if height % 2**depth or rows % 2**depth:
            raise ValueError(
                f"images of {height} x {rows} cannot be halved {depth} times; "
                f"set data.size_pixels to a multiple of {2**depth}, or a smaller depth"
            )
        unit = ResidualUnit if residual else Doubled
        widths = [width * 2**level for level in range(depth + 1)]
        self.down = nn.ModuleList(
            unit(before, after) for before, after in zip([channels, *widths], widths, strict=False)
        )
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * after, after, 2, 2) for after in widths[:-1])
        self.join = nn.ModuleList(unit(2 * after, after) for after in widths[:-1])
        last = [nn.BatchNorm2d(width), nn.ReLU()] if residual else []
        self.last = nn.Sequential(*last)
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, scene: Tensor) -> Tensor:
        """Segment: (B, C, H, W) to (B, classes, H, W)."""
        kept: list[Tensor] = []
        features = scene
        for level, unit in enumerate(self.down):
            features = unit(self.pool(features) if level else features)
            kept.append(features)
        features = kept.pop()
        for level in reversed(range(len(kept))):
            features = self.join[level](torch.cat([self.up[level](features), kept[level]], 1))
        return self.head(self.last(features))


residual_unet = partial(UNet, residual=True)
