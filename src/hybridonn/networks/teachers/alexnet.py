"""AlexNet, for large and for small images."""

from __future__ import annotations

from typing import Literal

from torch import nn

Stem = Literal["auto", "large", "small"]
SMALL_PIXELS = 96  # images below this side lose too much in a stem that divides it by four


def is_small(stem: Stem, image_shape: tuple[int, int, int]) -> bool:
    """Whether a network gets the stem for small images."""
    return stem == "small" or (stem == "auto" and min(image_shape[1:]) < SMALL_PIXELS)


class AlexNet(nn.Sequential):
    """Five convolutions and three dense layers (Krizhevsky 2014, arXiv 1404.5997).

    With images of 224 pixels and ten classes it has 57.0 million parameters.
    The stem for small images keeps their resolution: a 3 x 3 convolution in
    place of 11 x 11 with stride 4, and 2 x 2 in place of 6 x 6 pooled pixels.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        classes: int,
        hidden: int = 4096,
        dropout: float = 0.5,
        stem: Stem = "auto",
    ) -> None:
        small = is_small(stem, image_shape)
        first = (3, 1, 1) if small else (11, 4, 2)  # size, stride, padding
        window, pooled, second = (2, 2, 3) if small else (3, 6, 5)
        channels = image_shape[0]
        super().__init__(
            nn.Conv2d(channels, 64, *first),
            nn.ReLU(),
            nn.MaxPool2d(window, 2),
            nn.Conv2d(64, 192, second, padding=second // 2),
            nn.ReLU(),
            nn.MaxPool2d(window, 2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(window, 2),
            nn.AdaptiveAvgPool2d(pooled),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(256 * pooled**2, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, classes),
        )
