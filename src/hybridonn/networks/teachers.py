"""Digital teachers: built in, or named by the user as ``package.module:callable``."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hybridonn.errors import SpecError
from hybridonn.networks.seeding import seeded


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


BUILT_IN: Mapping[str, Callable[..., nn.Module]] = {"lenet": LeNet}


def build_teacher(
    name: str,
    arguments: Mapping[str, Any],
    image_shape: tuple[int, int, int],
    classes: int,
    seed: int,
) -> nn.Module:
    """Build a teacher; the same seed gives the same weights.

    Args:
        name: A built-in teacher, or ``package.module:callable``. A callable that
            takes ``image_shape`` and ``classes`` gets them.
        arguments: Further keyword arguments.
        image_shape: (C, H, W) of a scene.
        classes: Number of classes.
        seed: Of the weights.

    Returns:
        A network from (B, C, H, W) to (B, classes).

    Raises:
        SpecError: There is no such teacher, its arguments do not fit, or its
            output does not fit the task.
    """
    make = _find(name)
    given = {"image_shape": image_shape, "classes": classes}
    wanted = inspect.signature(make).parameters
    keywords = {key: value for key, value in given.items() if key in wanted} | dict(arguments)
    try:
        with seeded("teacher", seed):
            teacher = make(**keywords)
    except (TypeError, ValueError, RuntimeError) as error:
        raise SpecError(f"teacher {name} cannot be built with {keywords}: {error}") from None
    _check_output(teacher, name, image_shape, classes)
    return teacher


def _find(name: str) -> Callable[..., nn.Module]:
    if name in BUILT_IN:
        return BUILT_IN[name]
    module, colon, attribute = name.partition(":")
    if not colon:
        raise SpecError(
            f"teacher.name is {name!r}; allowed is {', '.join(BUILT_IN)} or package.module:callable"
        )
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, RuntimeError) as error:
        raise SpecError(f"teacher.name is {name!r}, which cannot be imported: {error}") from None


def _check_output(
    teacher: nn.Module, name: str, image_shape: tuple[int, int, int], classes: int
) -> None:
    if not isinstance(teacher, nn.Module):
        raise SpecError(f"teacher {name} is a {type(teacher).__name__}; it must be an nn.Module")
    training = teacher.training
    try:
        with torch.no_grad():
            logits = teacher.eval()(torch.zeros(2, *image_shape))
    except RuntimeError as error:
        raise SpecError(
            f"teacher {name} cannot take images of {image_shape} (C, H, W): {error}"
        ) from None
    teacher.train(training)
    found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if found != (2, classes):
        raise SpecError(
            f"teacher {name} gives {found} for 2 images; allowed is (2, {classes}), "
            "a logit for each image and class"
        )
