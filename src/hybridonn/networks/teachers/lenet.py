"""LeNet in today's dress."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn


class LeNet(nn.Sequential):
    """Two convolutions and two dense layers, after LeCun et al. 1998, in today's dress.

    Against the original: ReLU, max pooling, batch normalisation and dropout,
    and wider layers, so that on MNIST it is a teacher worth learning from.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        classes: int,
        channels: Sequence[int] = (32, 64),
        hidden: int = 128,
        dropout: float = 0.3,
    ) -> None:
        depth, height, width = image_shape
        layers: list[nn.Module] = []
        for out in channels:
            # Batch norm makes the bias of the convolution idle.
            layers += [nn.Conv2d(depth, out, 5, padding=2, bias=False), nn.BatchNorm2d(out)]
            layers += [nn.ReLU(), nn.MaxPool2d(2)]
            depth, height, width = out, height // 2, width // 2
        super().__init__(
            *layers,
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(depth * height * width, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, classes),
        )
