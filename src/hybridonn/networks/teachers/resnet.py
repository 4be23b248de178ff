"""Residual networks, for large and for small images."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from hybridonn.networks.teachers.alexnet import Stem, is_small


class Residual(nn.Module):
    """``relu(x + body(x))``, where the shape changes with a 1 x 1 convolution of x."""

    def __init__(self, body: nn.Sequential, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.body = body
        same = inputs == outputs and stride == 1
        self.short = nn.Identity() if same else _convolve(inputs, outputs, 1, stride, last=True)

    def forward(self, features: Tensor) -> Tensor:
        """Add: (B, C, H, W) to (B, C', H / stride, W / stride)."""
        return torch.relu(self.short(features) + self.body(features))


class ResNet(nn.Sequential):
    """ResNet-18 or -50 (He et al. 2016, table 1; stride in the 3 x 3 convolution).

    Args:
        image_shape: (C, H, W).
        classes: Number of classes.
        blocks: Number of blocks of each of the four stages.
        bottleneck: Blocks of 1 x 1, 3 x 3, 1 x 1 convolutions in place of two of 3 x 3.
        width: Channels of the first stage.
        stem: The stem for small images is one 3 x 3 convolution without pooling, as in the
            paper's networks for CIFAR-10 (section 4.2); ``auto`` takes it below 96 pixels.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        classes: int,
        blocks: Sequence[int],
        bottleneck: bool,
        width: int = 64,
        stem: Stem = "auto",
    ) -> None:
        layers: list[nn.Module]
        if is_small(stem, image_shape):
            layers = [_convolve(image_shape[0], width, 3)]
        else:
            layers = [_convolve(image_shape[0], width, 7, 2), nn.MaxPool2d(3, 2, 1)]
        inputs = width
        for stage, count in enumerate(blocks):
            for index in range(count):
                inner = width * 2**stage
                stride = 2 if stage and not index else 1
                layers.append(_block(inputs, inner, stride, bottleneck))
                inputs = 4 * inner if bottleneck else inner
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes)]
        super().__init__(*layers, *head)


resnet18 = partial(ResNet, blocks=(2, 2, 2, 2), bottleneck=False)
resnet50 = partial(ResNet, blocks=(3, 4, 6, 3), bottleneck=True)


class AirbenchNet(nn.Sequential):
    """A small fast network for small images, trained well within minutes on a CPU.

    The network of Jordan 2024 (arXiv 2404.00498, section 3: 94 % on CIFAR-10)
    at about two thirds of its width, with three changes: ReLU, a learnt first
    layer in place of one that whitens the patches, and a residual path around
    each second convolution, which that paper adds to its larger networks.

    Args:
        image_shape: (C, H, W).
        classes: Number of classes.
        widths: Channels of the three stages.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        classes: int,
        widths: Sequence[int] = (48, 128, 192),
    ) -> None:
        first = 24  # filters of its first layer, 2 x 2 pixels
        layers: list[nn.Module] = [
            nn.Conv2d(image_shape[0], first, 2, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(),
        ]
        for inputs, outputs in pairwise([first, *widths]):
            layers += [
                nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
                nn.MaxPool2d(2),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
                Residual(nn.Sequential(*_convolve(outputs, outputs, 3)), outputs, outputs),
            ]
        head = [nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(widths[-1], classes)]
        super().__init__(*layers, *head)


def _block(inputs: int, inner: int, stride: int, bottleneck: bool) -> Residual:
    if bottleneck:
        outputs = 4 * inner
        layers = [
            *_convolve(inputs, inner, 1),
            *_convolve(inner, inner, 3, stride),
            *_convolve(inner, outputs, 1, last=True),
        ]
    else:
        outputs = inner
        layers = [
            *_convolve(inputs, inner, 3, stride),
            *_convolve(inner, outputs, 3, last=True),
        ]
    return Residual(nn.Sequential(*layers), inputs, outputs, stride)


def _convolve(
    inputs: int, outputs: int, size: int, stride: int = 1, last: bool = False
) -> nn.Sequential:
    layers = [
        nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, *([] if last else [nn.ReLU()]))
